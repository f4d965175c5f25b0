#include "resident.h"

#include <ATen/ATen.h>

#include "codmoe/data/augment_row.h"
#include "device_augment.h"
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
    sources_.push_back(sample ? source_of(*sample, append(sample->image), append(sample->mask)) : ops::AugmentSource{});
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
  while (sources_[static_cast<std::size_t>(order_[static_cast<std::size_t>(position % size)])].height == 0) ++position;
  return order_[static_cast<std::size_t>(position % size)];
}

ops::AugmentRow ResidentLoader::row_at(int64_t position, int64_t side) const {
  const auto plan = plan_row(augment_, seed_, epoch_, order_, position);
  const auto source = [this](int64_t at) { return sources_[static_cast<std::size_t>(index_at(at))]; };
  return augment_row(plan.drawn, side, source(plan.position), plan.donor ? source(*plan.donor) : ops::AugmentSource{});
}

std::optional<Batch> ResidentLoader::next() {
  if (order_.empty() || next_batch_ == batches_) return std::nullopt;
  const auto side = batch_side(options_, seed_, epoch_, next_batch_);
  const auto shared_rows = whole_batch(std::ssize(order_), options_, next_batch_).count;
  const auto [first, count] = batch_span(std::ssize(order_), options_, next_batch_++);
  auto rows = new_rows(count, /*pinned=*/true);
  std::vector<std::string> names;
  for (int64_t row = 0; row < count; ++row) {
    write_row(row_at(first + row, side), row, rows);
    names.push_back(dataset_->item(index_at(first + row)).name);
  }
  auto batch = make_on_device(pixels_, rows.to(device_, /*non_blocking=*/true), side);
  batch.replaced = replaced_in(names, *dataset_, order_, first);
  batch.names = std::move(names);
  batch.shared_rows = shared_rows;
  return batch;
}

}  // namespace codmoe::data
