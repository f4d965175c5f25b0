// Whether statistics of a batch are those of this rank's part of it, or of all ranks'.
#pragma once

#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// For its lifetime, on this thread, loads of experts are those of the whole batch, and with `norms` so are mean and
/// variance in batch norms. Every rank must run the same layers then.
class SharedStatistics {
 public:
  /// `group`: null leaves everything to this rank.
  SharedStatistics(Group* group, bool norms);
  ~SharedStatistics();
  SharedStatistics(const SharedStatistics&) = delete;
  SharedStatistics& operator=(const SharedStatistics&) = delete;

  /// Null where statistics are this rank's.
  static Group* of_loads();
  static Group* of_norms();

 private:
  Group *outer_loads_, *outer_norms_;
};

}  // namespace codmoe::dist
