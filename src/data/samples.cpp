#include "codmoe/data/samples.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <opencv2/core.hpp>
#include <utility>

#include "codmoe/core/parallel.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/image_file.h"

namespace codmoe::data {

namespace {

int64_t reduced_side(int64_t side, int64_t size) { return size == 0 ? side : side / std::max<int64_t>(1, side / size); }

bool is_reduced(at::IntArrayRef shape, int64_t size) {
  return reduced_side(shape[0], size) != shape[0] || reduced_side(shape[1], size) != shape[1];
}

at::Tensor reduce_image(const at::Tensor& image, int64_t size) {
  if (!is_reduced(image.sizes(), size)) return image.contiguous();
  return resize(image, reduced_side(image.size(0), size), reduced_side(image.size(1), size), Interpolation::area);
}

struct OverBudget {};

}  // namespace

Sample read_sample(const Item& item, const NewImage& memory) {
  Sample sample{read_image(item, memory), read_mask(item, memory)};
  if (sample.image.size(0) == sample.mask.size(0) && sample.image.size(1) == sample.mask.size(1)) return sample;
  throw core::Error(fmt::format("{}: is {}x{}, its mask {} is {}x{} (width x height)", item.image.string(),
                                sample.image.size(1), sample.image.size(0), item.mask.string(), sample.mask.size(1),
                                sample.mask.size(0)));
}

Sample reduce(const Sample& sample, int64_t size) {
  return {reduce_image(sample.image, size), reduce_image(sample.mask, size)};
}

Samples::Samples(std::shared_ptr<const Dataset> dataset, int64_t size, OnError on_error)
    : dataset_(std::move(dataset)), batch_side_(size), on_error_(on_error) {
  dataset_->require_size(size);
}

bool Samples::keep(int64_t budget, int64_t threads) {
  std::vector<Sample> kept(static_cast<std::size_t>(size()));
  std::atomic<int64_t> bytes = 0;
  core::ProgressLine line("decoding", size(), "images");
  cv::setNumThreads(1);  // the images are the parallelism
  const auto read_one = [&](int64_t index) {
    const auto sample = read(index);
    if (!sample) return;
    kept[static_cast<std::size_t>(index)] = *sample;
    if ((bytes += sample->image.numel() + sample->mask.numel()) > budget) throw OverBudget();
  };
  try {
    core::parallel_for(size(), threads, read_one, [&](int64_t done) { line.update(done); });
  } catch (const OverBudget&) {
    return false;
  }
  if (std::ranges::none_of(kept, [](const Sample& sample) { return sample.image.defined(); })) refuse_all();
  kept_ = std::move(kept);
  bytes_ = bytes;
  return true;
}

bool Samples::is_skipped(int64_t index) const {
  const std::scoped_lock lock(mutex_);
  return skipped_.contains(index);
}

void Samples::skip(int64_t index, const core::Error& error) const {
  const std::scoped_lock lock(mutex_);
  if (!skipped_.insert(index).second) return;
  spdlog::warn("data.on_error: skip: {}; the next readable sample takes its place", error.what());
}

std::optional<Sample> Samples::read(int64_t index, const NewImage& memory) const {
  if (is_skipped(index)) return std::nullopt;
  if (are_kept()) return kept_.at(static_cast<std::size_t>(index));
  try {
    const NewImage where = [&](at::IntArrayRef shape) {
      return memory && !is_reduced(shape, batch_side_) ? memory(shape) : at::empty(shape, at::kByte);
    };
    const auto whole = read_sample(dataset_->item(index), where);
    auto sample = reduce(whole, batch_side_);
    if (sample.mask.numel() < whole.mask.numel()) any_reduced_ = true;
    return sample;
  } catch (const core::Error& error) {
    if (on_error_ == OnError::fail) throw;
    skip(index, error);
    return std::nullopt;
  }
}

Samples::Found Samples::at(const std::vector<int64_t>& order, int64_t position, const NewImage& memory) const {
  for (std::size_t step = 0; step < order.size(); ++step) {
    const auto index = order[(static_cast<std::size_t>(position) + step) % order.size()];
    if (auto sample = read(index, memory)) return {*std::move(sample), index};
  }
  refuse_all();
}

void Samples::refuse_all() const {
  throw core::Error(fmt::format("{}: none of its {} samples can be read", dataset_->dir().string(), size()));
}

}  // namespace codmoe::data
