#include "order.h"

#include <c10/util/Exception.h>
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

int64_t LoaderOptions::largest_side() const {
  int64_t largest = 0;
  for (const double scale : scales) largest = std::max(largest, scaled_side(size, scale));
  return largest;
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

RowPlan plan_row(const AugmentOptions& options, uint64_t seed, int64_t epoch, const std::vector<int64_t>& order,
                 int64_t position) {
  const auto index = order[static_cast<std::size_t>(position)];
  RowPlan plan{augmentation_of(options, seed, epoch, index), position, std::nullopt};
  const auto donor = donor_of(plan.drawn, index, std::ssize(order));
  if (donor) plan.donor = std::ranges::find(order, *donor) - order.begin();
  return plan;
}

int64_t batch_count(const Dataset& dataset, const LoaderOptions& options) {
  const int64_t rest = options.drop_last ? 0 : options.batch_size - 1;
  const int64_t count = (dataset.size() + rest) / options.batch_size;
  if (count == 0) {
    throw core::Error(fmt::format("{}: {} images make no full batch of {}, and drop_last leaves out the rest",
                                  dataset.dir().string(), dataset.size(), options.batch_size));
  }
  const auto smallest = whole_batch(dataset.size(), options, count - 1).count;
  if (smallest < options.shard.ranks) {
    throw core::Error(
        fmt::format("{}: its last batch has {} of {} images, fewer than there are ranks ({}): set "
                    "data.loader.drop_last, or another batch_size, which is that of all ranks together",
                    dataset.dir().string(), smallest, dataset.size(), options.shard.ranks));
  }
  return count;
}

Span whole_batch(int64_t samples, const LoaderOptions& options, int64_t batch) {
  const int64_t first = batch * options.batch_size;
  return {first, std::min(options.batch_size, samples - first)};
}

Span batch_span(int64_t samples, const LoaderOptions& options, int64_t batch) {
  const auto [first, count] = whole_batch(samples, options, batch);
  const auto& [rank, ranks] = options.shard;
  const auto begin = count * rank / ranks;
  return {first + begin, count * (rank + 1) / ranks - begin};
}

std::vector<int64_t> rows_from(int64_t first, int64_t batches, int64_t samples, const LoaderOptions& options) {
  std::vector<int64_t> rows;
  for (auto batch = first; batch < batches; ++batch) rows.push_back(batch_span(samples, options, batch).count);
  return rows;
}

void check_first_batch(int64_t first_batch, int64_t batches) {
  TORCH_CHECK(first_batch >= 0 && first_batch <= batches, "loader: first batch must be in 0 ... ", batches, ", is ",
              first_batch);
}

int64_t replaced_in(const std::vector<std::string>& names, const Dataset& dataset, const std::vector<int64_t>& order,
                    int64_t position) {
  int64_t replaced = 0;
  for (const auto& name : names)
    replaced += name == dataset.item(order[static_cast<std::size_t>(position++)]).name ? 0 : 1;
  return replaced;
}

}  // namespace codmoe::data
