// The processes that work together: those of a launcher (torchrun, mpirun, srun) or of --gpus; mostly this one alone.
#pragma once

#include <functional>
#include <memory>

#include "codmoe/engine/options.h"
#include "codmoe/engine/ranks.h"
#include "common/cli.h"

namespace codmoe::apps {

class Session {
 public:
  /// Meets the other ranks, where the environment says that there are any. `advice`: what to do after a rank was lost.
  /// `patience`, in seconds: see engine::RanksOptions.
  /// @throws core::UsageError for a device that ranks can't have; core::Error where they don't meet
  Session(const CommonOptions& common, const std::string& advice, double patience = engine::RanksOptions{}.patience);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Of the checkpoint or the training. @throws core::UsageError for one that is not there
  c10::Device device() const;
  const engine::Ranks& ranks() const { return ranks_; }
  /// Runs `body`; where it throws on one rank, the others hear why, and end.
  void run(const std::function<void()>& body);

 private:
  struct Meeting;
  std::string device_;                // as it was named
  std::unique_ptr<Meeting> meeting_;  // null where this process is alone
  engine::Ranks ranks_;
};

}  // namespace codmoe::apps
