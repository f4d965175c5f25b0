#include "resident.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "codmoe/ops/augment.h"
#include "order.h"

namespace codmoe::data {

namespace {

void write_changes(const Augmentation& drawn, int64_t height, int64_t width, int64_t size, float* to) {
  const auto map = target_to_source(drawn, height, width, size);
  for (std::size_t i = 0; i < map.size(); ++i) to[ops::kAugmentMap + i] = static_cast<float>(map[i]);
  to[ops::kAugmentSharpness] = static_cast<float>(drawn.sharpness);
  to[ops::kAugmentSaturation] = static_cast<float>(drawn.saturation);
  to[ops::kAugmentContrast] = static_cast<float>(drawn.contrast);
  to[ops::kAugmentBrightness] = static_cast<float>(drawn.brightness);
}

}  // namespace

ResidentLoader::ResidentLoader(std::shared_ptr<const Dataset> dataset, const SampleCache& cache,
                               const LoaderOptions& options, const AugmentOptions& augment, uint64_t seed,
                               c10::Device device)
    : dataset_(std::move(dataset)),
      options_(options),
      augment_(augment),
      seed_(seed),
      device_(device),
      batches_(batch_count(*dataset_, options_)),
      pixels_(at::empty({cache.bytes()}, at::TensorOptions(at::kByte).device(device))),
      places_n4_(at::empty({cache.size(), 4}, at::kLong)) {
  int64_t end = 0;
  const auto append = [&](const at::Tensor& map) {
    pixels_.narrow(0, end, map.numel()).copy_(map.flatten());
    end += map.numel();
    return end - map.numel();
  };
  auto* place = places_n4_.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < cache.size(); ++i, place += 4) {
    const auto& sample = cache.sample(i);
    place[0] = append(sample.image);
    place[1] = append(sample.mask);
    place[2] = sample.mask.size(0);
    place[3] = sample.mask.size(1);
  }
}

void ResidentLoader::start(int64_t epoch, int64_t first_batch) {
  TORCH_CHECK(first_batch >= 0 && first_batch <= batches_, "loader: first batch must be in 0 ... ", batches_, ", is ",
              first_batch);
  epoch_ = epoch;
  next_batch_ = first_batch;
  order_ = sample_order(dataset_->size(), options_.shuffle, seed_, epoch);
}

at::Tensor ResidentLoader::to_device(const at::Tensor& pinned) const {
  return pinned.to(device_, /*non_blocking=*/true);
}

std::optional<Batch> ResidentLoader::next() {
  if (order_.empty() || next_batch_ == batches_) return std::nullopt;
  const auto [first, count] = batch_span(std::ssize(order_), options_, next_batch_++);
  const auto pinned = at::TensorOptions().pinned_memory(true);
  auto places = at::empty({count, 4}, pinned.dtype(at::kLong));
  auto changes = at::empty({count, ops::kAugmentColumns}, pinned.dtype(at::kFloat));
  Batch batch;
  for (int64_t row = 0; row < count; ++row) {
    const auto index = order_[static_cast<std::size_t>(first + row)];
    const auto* place = places_n4_.const_data_ptr<int64_t>() + 4 * index;
    std::copy_n(place, 4, places.mutable_data_ptr<int64_t>() + 4 * row);
    write_changes(augmentation_of(augment_, seed_, epoch_, index), place[2], place[3], options_.size,
                  changes.mutable_data_ptr<float>() + row * ops::kAugmentColumns);
    batch.names.push_back(dataset_->item(index).name);
  }
  const auto made = ops::augment(pixels_, to_device(places), to_device(changes), options_.size);
  batch.images = made.images;
  batch.masks = made.masks;
  return batch;
}

}  // namespace codmoe::data
