// How the load lies on the experts, accumulated on the device.
#pragma once

#include <vector>

#include "codmoe/moe/routing.h"

namespace codmoe::moe {

/// Means over the images seen since the last reset; sums are 1 over the experts.
struct LoadReport {
  std::vector<double> load;         ///< share of assignments
  std::vector<double> probability;  ///< mean router probability
  double entropy = 0.0;             ///< mean entropy of the probabilities, nats
};

class LoadMeter {
 public:
  /// Adds a batch without waiting for the device.
  void add(const Routing& routing);
  /// Reads the sums (one synchronisation) and starts anew. Empty where nothing was added.
  LoadReport take();

 private:
  at::Tensor counts_e_, probs_e_, entropy_;  // sums, on the device of the first batch
  int64_t images_ = 0;
};

}  // namespace codmoe::moe
