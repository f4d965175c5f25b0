#include "resident.h"

#include <ATen/ATen.h>

#include <cstring>

#include "codmoe/data/augment_row.h"
#include "codmoe/ops/augment.h"
#include "order.h"

namespace codmoe::data {

ResidentLoader::ResidentLoader(std::shared_ptr<const Dataset> dataset, const SampleCache& cache,
                               const LoaderOptions& options, const AugmentOptions& augment, uint64_t seed,
                               c10::Device device)
    : dataset_(std::move(dataset)),
      options_(options),
      augment_(augment),
      seed_(seed),
      device_(device),
      batches_(batch_count(*dataset_, options_)),
      pixels_(at::empty({cache.bytes()}, at::TensorOptions(at::kByte).device(device))) {
  int64_t end = 0;
  const auto append = [&](const at::Tensor& map) {
    pixels_.narrow(0, end, map.numel()).copy_(map.flatten());
    end += map.numel();
    return end - map.numel();
  };
  for (int64_t i = 0; i < cache.size(); ++i) {
    const auto& sample = cache.sample(i);
    const auto image = append(sample.image), mask = append(sample.mask);
    sources_.push_back({.image = image,
                        .mask = mask,
                        .height = static_cast<int32_t>(sample.mask.size(0)),
                        .width = static_cast<int32_t>(sample.mask.size(1))});
  }
}

void ResidentLoader::start(int64_t epoch, int64_t first_batch) {
  TORCH_CHECK(first_batch >= 0 && first_batch <= batches_, "loader: first batch must be in 0 ... ", batches_, ", is ",
              first_batch);
  epoch_ = epoch;
  next_batch_ = first_batch;
  order_ = sample_order(dataset_->size(), options_.shuffle, seed_, epoch);
}

ops::AugmentRow ResidentLoader::row_of(int64_t index, int64_t side) const {
  const auto drawn = augmentation_of(augment_, seed_, epoch_, index);
  const auto source = [this](int64_t i) { return sources_.at(static_cast<std::size_t>(i)); };
  const auto donor = donor_of(drawn, index, dataset_->size());
  return augment_row(drawn, side, source(index), donor ? source(*donor) : ops::AugmentSource{});
}

std::optional<Batch> ResidentLoader::next() {
  if (order_.empty() || next_batch_ == batches_) return std::nullopt;
  const auto side = batch_side(options_, seed_, epoch_, next_batch_);
  const auto [first, count] = batch_span(std::ssize(order_), options_, next_batch_++);
  constexpr int64_t row_bytes = sizeof(ops::AugmentRow);
  const auto rows_bn = at::empty({count, row_bytes}, at::TensorOptions(at::kByte).pinned_memory(true));
  Batch batch;
  for (int64_t i = 0; i < count; ++i) {
    const auto index = order_[static_cast<std::size_t>(first + i)];
    const auto row = row_of(index, side);
    std::memcpy(rows_bn.mutable_data_ptr<uint8_t>() + i * row_bytes, &row, sizeof(row));
    batch.names.push_back(dataset_->item(index).name);
  }
  const auto made = ops::augment(pixels_, rows_bn.to(device_, /*non_blocking=*/true), side);
  batch.images = made.images;
  batch.masks = made.masks;
  return batch;
}

}  // namespace codmoe::data
