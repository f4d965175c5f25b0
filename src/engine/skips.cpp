#include "codmoe/engine/skips.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

namespace codmoe::engine {

void stop_after_skips(const Optimizer& optimizer, const std::vector<data::Batch>& latest, int64_t max_skips) {
  const auto in_row = static_cast<int64_t>(optimizer.skipped_in_row().item<float>());
  if (in_row < max_skips) return;
  std::vector<std::string> names;
  for (const auto& batch : latest) names.insert(names.end(), batch.names.begin(), batch.names.end());
  throw core::Error(fmt::format(
      "the loss or gradient of the last {} steps was not finite (engine.max_skips); the last of these steps was on {}",
      in_row, fmt::join(names, ", ")));
}

}  // namespace codmoe::engine
