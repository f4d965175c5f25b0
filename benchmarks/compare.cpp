#include "benchmarks/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace codmoe::bench {

namespace {

constexpr double kDrift = 0.05;
constexpr double kStandardErrors = 3.0;

auto identity(const Record& r) {
  return std::tie(r.case_name, r.expert, r.form, r.backbone, r.frozen_norm, r.threads, r.device, r.dtype,
                  r.memory_format, r.dispatch, r.launch, r.pass, r.inputs, r.batch, r.channels, r.height, r.width,
                  r.top_k, r.routing, r.route_sets, r.seed);
}

Change change_of(const Record& before, const Record& after) {
  Change change{.before = before, .after = after, .latency_ratio = after.median_ms / before.median_ms};
  if (before.gpu_ms && after.gpu_ms) change.gpu_ratio = *after.gpu_ms / *before.gpu_ms;
  change.noise = std::max(kDrift, ratio_error(before, after));
  const double gpu = change.gpu_ratio.value_or(change.latency_ratio);
  change.slower = std::max(change.latency_ratio, gpu) > 1 + change.noise;
  change.faster = !change.slower && std::min(change.latency_ratio, gpu) < 1 - change.noise;
  return change;
}

/// What was timed, in a few words.
std::string subject(const Record& record) {
  if (record.backbone) return fmt::format("{} {}x{}{}", *record.backbone, record.height, record.width, way(record));
  return record.expert ? fmt::format("{}, {}", *record.expert, record.form.value_or("")) : way(record);
}

}  // namespace

double median_error(const Record& record) {
  const double sigma = std::min((record.p95_ms - record.median_ms) / 1.645, (record.median_ms - record.min_ms) / 2.5);
  return 1.2533 * sigma / std::sqrt(static_cast<double>(record.runs)) / record.median_ms;
}

double ratio_error(const Record& before, const Record& after) {
  return kStandardErrors * std::hypot(median_error(before), median_error(after));
}

std::vector<Change> compare(const std::vector<Record>& before, const std::vector<Record>& after) {
  std::vector<Change> changes;
  for (const auto& now : after) {
    const auto old = std::ranges::find_if(before, [&](const Record& r) { return identity(r) == identity(now); });
    if (old != before.end()) changes.push_back(change_of(*old, now));
  }
  return changes;
}

std::string format_changes(const std::vector<Change>& changes) {
  constexpr const char* kRow = "{:>9} {:>7} {:>33} {:>5} {:>10} {:>10} {:>7} {:>7} {:>7}  {}\n";
  std::string text = fmt::format(fmt::runtime(kRow), "dtype", "pass", "what", "batch", "before ms", "after ms", "ratio",
                                 "gpu", "noise", "");
  for (const auto& c : changes) {
    text += fmt::format(fmt::runtime(kRow), c.after.dtype, c.after.pass, subject(c.after), c.after.batch,
                        fmt::format("{:.3f}", c.before.median_ms), fmt::format("{:.3f}", c.after.median_ms),
                        fmt::format("{:.3f}", c.latency_ratio), c.gpu_ratio ? fmt::format("{:.3f}", *c.gpu_ratio) : "-",
                        fmt::format("{:.0f}%", 100 * c.noise),
                        c.slower   ? "SLOWER"
                        : c.faster ? "faster"
                                   : "");
  }
  return text;
}

}  // namespace codmoe::bench
