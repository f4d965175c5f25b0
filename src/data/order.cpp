#include "order.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "codmoe/core/error.h"
#include "codmoe/core/seed.h"
#include "codmoe/data/random.h"

namespace codmoe::data {

namespace {

// Streams of the seed.
constexpr uint64_t kOrderStream = 1;
constexpr uint64_t kAugmentStream = 2;
constexpr uint64_t kScaleStream = 3;

/// Backbones halve a side five times.
constexpr int64_t kSideStep = 32;

int64_t scaled_side(int64_t size, double scale) {
  if (scale == 1.0) return size;
  return std::max<int64_t>(1, std::llround(static_cast<double>(size) * scale / kSideStep)) * kSideStep;
}

}  // namespace

void LoaderOptions::check() const {
  if (scales.empty()) throw core::BadOption("scales", "must name at least one factor, such as [1.0]");
}

std::vector<int64_t> sample_order(int64_t size, bool shuffle, uint64_t seed, int64_t epoch) {
  std::vector<int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  if (shuffle) Random(core::mix_seed(seed, kOrderStream, static_cast<uint64_t>(epoch))).shuffle(order);
  return order;
}

Augmentation augmentation_of(const AugmentOptions& options, uint64_t seed, int64_t epoch, int64_t index) {
  const uint64_t stream = core::mix_seed(seed, kAugmentStream, static_cast<uint64_t>(epoch));
  return draw_augmentation(options, core::mix_seed(stream, static_cast<uint64_t>(index)));
}

int64_t batch_side(const LoaderOptions& options, uint64_t seed, int64_t epoch, int64_t batch) {
  const uint64_t stream = core::mix_seed(seed, kScaleStream, static_cast<uint64_t>(epoch));
  Random random(core::mix_seed(stream, static_cast<uint64_t>(batch)));
  const auto drawn = random.below(std::ssize(options.scales));
  return scaled_side(options.size, options.scales[static_cast<std::size_t>(drawn)]);
}

int64_t largest_side(const LoaderOptions& options) {
  int64_t largest = 0;
  for (const double scale : options.scales) largest = std::max(largest, scaled_side(options.size, scale));
  return largest;
}

int64_t batch_count(const Dataset& dataset, const LoaderOptions& options) {
  const int64_t rest = options.drop_last ? 0 : options.batch_size - 1;
  const int64_t count = (dataset.size() + rest) / options.batch_size;
  if (count > 0) return count;
  throw core::Error(fmt::format("{}: {} images make no full batch of {}, and drop_last leaves out the rest",
                                dataset.dir().string(), dataset.size(), options.batch_size));
}

Span batch_span(int64_t samples, const LoaderOptions& options, int64_t batch) {
  const int64_t first = batch * options.batch_size;
  return {first, std::min(options.batch_size, samples - first)};
}

}  // namespace codmoe::data
