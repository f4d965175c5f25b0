#include <fmt/format.h>
#include <fmt/ranges.h>

#include "benchmarks/record.h"

namespace codmoe::bench {

namespace {

constexpr const char* kColumns = "{:>9} {:>7} {:>17} {:>5} {:>9} {:>9} {:>9} {:>10} {:>10} {:>9} {:>8} {:>9} {:>7}\n";

template <class T>
std::string cell(const std::optional<T>& value, double scale, const char* format = "{:.3f}") {
  return value ? fmt::format(fmt::runtime(format), static_cast<double>(*value) * scale) : "-";
}

std::string row(const Record& record) {
  const auto gpu = cell(record.gpu_ms, 1) + (record.gpu_queued == false ? "*" : "");
  const auto ratio = record.roofline_ms ? fmt::format("{:.0f}x", record.median_ms / *record.roofline_ms) : "-";
  return fmt::format(fmt::runtime(kColumns), record.dtype, record.pass, way(record), record.batch,
                     fmt::format("{:.3f}", record.median_ms), fmt::format("{:.3f}", record.p95_ms),
                     fmt::format("{:.3f}", record.min_ms), gpu, fmt::format("{:.1f}", record.images_per_s),
                     cell(record.peak_bytes, 1.0 / (1 << 20), "{:.1f}"), cell(record.flops, 1e-9, "{:.2f}"),
                     cell(record.roofline_ms, 1, "{:.4f}"), ratio);
}

std::string title(const Record& record) {
  return fmt::format("{}: {} channels, {}x{}, top-{} {} routing on {}; {} sets of routes, seed {}\n", record.case_name,
                     record.channels, record.height, record.width, record.top_k, record.routing, record.device,
                     record.route_sets, record.seed);
}

}  // namespace

std::string format_table(const std::vector<Record>& records) {
  std::string text, last_title;
  bool starred = false;
  for (const auto& record : records) {
    if (title(record) != last_title) {
      last_title = title(record);
      text += last_title;
      text += fmt::format(fmt::runtime(kColumns), "dtype", "pass", "dispatch", "batch", "median ms", "p95 ms", "min ms",
                          "gpu ms", "images/s", "peak MiB", "GFLOP", "roofline", "ratio");
    }
    text += row(record);
    starred = starred || record.gpu_queued == false;
  }
  if (starred) text += "* synchronises with the host, so that the GPU's time holds waiting for it\n";
  for (const auto& record : records) {
    const auto load = fmt::format("load by expert at batch {}: {:.2f}\n", record.batch, fmt::join(record.load, " "));
    if (text.find(load) == std::string::npos) text += load;
  }
  return text;
}

}  // namespace codmoe::bench
