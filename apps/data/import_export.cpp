#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codmoe/backbone/weights.h"
#include "codmoe/core/error.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/export.h"
#include "data/weights.h"

namespace codmoe::apps {

namespace fs = std::filesystem;

void import_weights(const fs::path& input, const std::string& backbone, const fs::path& output) {
  const auto report = backbone::import_weights(input, backbone, output);
  fmt::print("{}", report.text());
  if (report.ok()) {
    fmt::print("{}: backbone {} in timm's names\n", output.string(), backbone);
    return;
  }
  const auto others = backbone::fitting_backbones(core::load_safetensors(input).tensors);
  const auto hint = others.empty() ? "" : fmt::format("; it fits {}", fmt::join(others, ", "));
  throw core::Error(
      fmt::format("{}: doesn't fit {}: {} keys matched, {} missing, {} unexpected, {} mis-shaped{}; nothing is written",
                  input.string(), backbone, report.matched.size(), report.missing.size(), report.unexpected.size(),
                  report.misshaped.size(), hint));
}

void export_backbone(const fs::path& checkpoint, const fs::path& output) {
  const auto step = engine::find_checkpoint(checkpoint, /*prefer_best=*/true);
  const auto name = engine::export_backbone(step, output);
  fmt::print("{}: backbone {} of {} in timm's names\n", output.string(), name, step.string());
}

}  // namespace codmoe::apps
