#include "codmoe/engine/warm_start.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/engine/checkpoint.h"

namespace codmoe::engine {

namespace {

std::filesystem::path weights_file(const std::filesystem::path& checkpoint) {
  if (std::filesystem::is_regular_file(checkpoint)) return checkpoint;
  return step_weights(find_checkpoint(checkpoint, /*prefer_best=*/true));
}

}  // namespace

nn::LoadReport warm_start(model::DetectorImpl& model, const InitOptions& options) {
  const auto file = weights_file(options.checkpoint);
  const auto tensors = core::load_safetensors(file).tensors;
  const auto expected = nn::compare_state(model, tensors);
  if (expected.matched.empty() || (!expected.ok() && !options.partial)) {
    throw core::Error(fmt::format("{}: doesn't fit the model: {}{}", file.string(), expected.summary(),
                                  expected.matched.empty() ? "" : "; init.partial: true takes what fits"));
  }
  const nn::LoadPolicy policy{.allow_missing = options.partial,
                              .allow_unexpected = options.partial,
                              .allow_misshaped = options.partial,
                              .source = file.string()};
  auto report = nn::load_state(model, tensors, policy);
  spdlog::info("begins with the weights of {}\n{}", file.string(), report.text());
  return report;
}

}  // namespace codmoe::engine
