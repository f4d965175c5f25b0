#include <fmt/format.h>

#include "benchmarks/model.h"

namespace codmoe::bench {

namespace {

constexpr const char* kModelColumns = "{:>9} {:>14} {:>7} {:>6} {:>5} {:>9} {:>9} {:>9} {:>10} {:>9} {:>9}\n";

std::string model_title(const Record& record) {
  return fmt::format("{}, {:.1f} million parameters, {}x{} on {}; {}seed {}\n", record.backbone.value_or(""),
                     static_cast<double>(record.parameters.value_or(0)) / 1e6, record.height, record.width,
                     record.device, record.frozen_norm.value_or(false) ? "frozen norms, " : "", record.seed);
}

std::string model_row(const Record& record) {
  const auto gpu = record.gpu_ms ? fmt::format("{:.3f}{}", *record.gpu_ms, record.gpu_queued == false ? "*" : "") : "-";
  const auto peak =
      record.peak_bytes ? fmt::format("{:.0f}", static_cast<double>(*record.peak_bytes) / (1 << 20)) : "-";
  return fmt::format(fmt::runtime(kModelColumns), record.dtype, record.memory_format, record.pass,
                     record.launch.value_or(""), record.batch, fmt::format("{:.3f}", record.median_ms),
                     fmt::format("{:.3f}", record.p95_ms), fmt::format("{:.3f}", record.min_ms), gpu,
                     fmt::format("{:.1f}", record.images_per_s), peak);
}

}  // namespace

std::string format_model(const std::vector<Record>& records) {
  std::string text, last_title;
  bool starred = false;
  for (const auto& record : records) {
    if (model_title(record) != last_title) {
      last_title = model_title(record);
      text += last_title;
      text += fmt::format(fmt::runtime(kModelColumns), "dtype", "layout", "pass", "launch", "batch", "median ms",
                          "p95 ms", "min ms", "gpu ms", "images/s", "peak MiB");
    }
    text += model_row(record);
    starred = starred || record.gpu_queued == false;
  }
  if (starred) text += "* could not be queued whole, so that the GPU's time holds waiting for the host\n";
  return text;
}

}  // namespace codmoe::bench
