#include "benchmarks/passes.h"

#include <chrono>

#include "benchmarks/case.h"

namespace codmoe::bench {

namespace {

constexpr std::size_t least_passes = 3;

}  // namespace

std::vector<double> time_passes(const SetPass& pass, double seconds) {
  using Clock = std::chrono::steady_clock;
  pass();
  std::vector<double> samples;
  const auto begin = Clock::now();
  while (samples.size() < least_passes || Clock::now() - begin < std::chrono::duration<double>(seconds)) {
    const auto start = Clock::now();
    pass();
    samples.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return samples;
}

void add_passes(Record& record, const std::vector<double>& samples, int64_t images) {
  const auto spread = summarize(samples);
  const double batches = static_cast<double>(images) / static_cast<double>(record.batch);
  record.runs = static_cast<int64_t>(samples.size());
  record.median_ms = spread.median / batches;
  record.p95_ms = spread.p95 / batches;
  record.min_ms = spread.min / batches;
  record.images_per_s = 1e3 * static_cast<double>(images) / spread.median;
}

}  // namespace codmoe::bench
