#include "resident.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "order.h"

namespace codmoe::data {

ResidentLoader::ResidentLoader(const std::shared_ptr<const Dataset>& dataset, const Samples& samples,
                               const LoaderOptions& options, const AugmentOptions& augment, uint64_t seed,
                               c10::Device device)
    : dataset_(dataset),
      options_(options),
      augment_(augment),
      seed_(seed),
      device_(device),
      batches_(batch_count(*dataset_, options_)),
      pixels_(at::empty({samples.bytes()}, at::TensorOptions(at::kByte).device(device))) {
  int64_t end = 0;
  const auto append = [&](const at::Tensor& map) {
    pixels_.narrow(0, end, map.numel()).copy_(map.flatten());
    end += map.numel();
    return end - map.numel();
  };
  for (int64_t i = 0; i < samples.size(); ++i) {
    const auto sample = samples.read(i);
    places_.push_back(
        sample ? Place{append(sample->image), append(sample->mask), sample->mask.size(0), sample->mask.size(1)}
               : Place{});
  }
}

void ResidentLoader::start(int64_t epoch, int64_t first_batch) {
  check_first_batch(first_batch, batches_);
  epoch_ = epoch;
  next_batch_ = first_batch;
  order_ = sample_order(dataset_->size(), options_.shuffle, seed_, epoch);
}

/// As Samples::at(); one at least is readable.
int64_t ResidentLoader::index_at(int64_t position) const {
  const auto size = std::ssize(order_);
  while (places_[static_cast<std::size_t>(order_[static_cast<std::size_t>(position % size)])].height == 0) ++position;
  return order_[static_cast<std::size_t>(position % size)];
}

std::optional<Batch> ResidentLoader::next() {
  if (order_.empty() || next_batch_ == batches_) return std::nullopt;
  const auto [first, count] = batch_span(std::ssize(order_), options_, next_batch_++);
  auto places = new_places(count, /*pinned=*/true), changes = new_changes(count, /*pinned=*/true);
  std::vector<std::string> names;
  for (int64_t row = 0; row < count; ++row) {
    const auto index = index_at(first + row);
    const auto drawn = augmentation_of(augment_, seed_, epoch_, order_[static_cast<std::size_t>(first + row)]);
    write_row(places_[static_cast<std::size_t>(index)], drawn, options_.size, row, places, changes);
    names.push_back(dataset_->item(index).name);
  }
  auto batch = make_on_device(pixels_, places.to(device_, /*non_blocking=*/true),
                              changes.to(device_, /*non_blocking=*/true), options_.size);
  batch.replaced = replaced_in(names, *dataset_, order_, first);
  batch.names = std::move(names);
  return batch;
}

}  // namespace codmoe::data
