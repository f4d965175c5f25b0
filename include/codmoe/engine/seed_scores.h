// The same run with several seeds.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "codmoe/core/options_json.h"

namespace codmoe::engine {

/// The validation that a run's best checkpoint was chosen by.
struct SeedScores {
  int64_t seed = 0;
  int64_t step = 0;
  core::Json scores;  ///< {"IoU": …}
};

/// {"seeds": {"0": {"step": …, "IoU": …}}, "mean": {"IoU": …}, "sd": {"IoU": …}}. `sd` is that of a sample (n - 1);
/// null where there is one seed or a score is undefined.
core::Json seeds_json(const std::vector<SeedScores>& runs);

/// The same as lines: a score, its mean ± sd, then each seed's.
std::string seeds_table(const std::vector<SeedScores>& runs);

}  // namespace codmoe::engine
