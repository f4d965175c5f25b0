#include "codmoe/data/loader.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <opencv2/core.hpp>
#include <thread>
#include <utility>

#include "mat.h"
#include "order.h"
#include "prefetch.h"

namespace codmoe::data {
namespace {

/// Writes [S, S, 3] and [S, S] to one row. Not with tensor operations: each worker would start OpenMP threads.
void write_row(const Sample& sample, Batch& batch, int64_t row) {
  const int64_t size = batch.images.size(2);
  const auto side = static_cast<int>(size);
  uint8_t* image = batch.images.data_ptr<uint8_t>() + row * 3 * size * size;
  std::array<cv::Mat, 3> planes;
  for (int64_t channel = 0; channel < 3; ++channel) {
    planes[static_cast<std::size_t>(channel)] = cv::Mat(side, side, CV_8UC1, image + channel * size * size);
  }
  cv::split(as_mat(sample.image), planes.data());
  std::copy_n(sample.mask.data_ptr<uint8_t>(), size * size, batch.masks.data_ptr<uint8_t>() + row * size * size);
}

}  // namespace

int64_t worker_count(const LoaderOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, 16);
}

class Loader::Workers {
 public:
  Workers(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
          uint64_t seed);

  void start(int64_t epoch, int64_t first_batch);
  std::optional<Batch> next();
  int64_t batches() const { return batches_; }

 private:
  Batch& place(int64_t batch) { return ring_[static_cast<std::size_t>(batch % std::ssize(ring_))]; }
  Batch make_batch(int64_t batch) const;
  void fill(int64_t batch, int64_t row);

  const std::shared_ptr<const Samples> samples_;
  const LoaderOptions options_;
  const AugmentOptions augment_;
  const uint64_t seed_;
  const int64_t batches_;
  int64_t epoch_ = 0, next_batch_ = 0;
  std::vector<int64_t> order_;  // of this epoch; empty before start()
  std::vector<Batch> ring_;
  Prefetch prefetch_;  // the last: its threads use the others
};

Loader::Workers::Workers(std::shared_ptr<const Samples> samples, const LoaderOptions& options,
                         const AugmentOptions& augment, uint64_t seed)
    : samples_(std::move(samples)),
      options_(options),
      augment_(augment),
      seed_(seed),
      batches_(batch_count(samples_->dataset(), options_)),
      ring_(static_cast<std::size_t>(options_.prefetch)),
      prefetch_(worker_count(options_), options_.prefetch, [this](int64_t batch, int64_t row) { fill(batch, row); }) {
  cv::setNumThreads(1);  // the workers are the parallelism
}

Batch Loader::Workers::make_batch(int64_t batch) const {
  const auto rows = batch_span(samples_->size(), options_, batch).count;
  const auto side = batch_side(options_, seed_, epoch_, batch);
  return {at::empty({rows, 3, side, side}, at::kByte), at::empty({rows, 1, side, side}, at::kByte),
          std::vector<std::string>(static_cast<std::size_t>(rows)), /*replaced=*/0,
          whole_batch(samples_->size(), options_, batch).count};
}

void Loader::Workers::start(int64_t epoch, int64_t first_batch) {
  check_first_batch(first_batch, batches_);
  prefetch_.stop();
  epoch_ = epoch;
  next_batch_ = first_batch;
  order_ = sample_order(samples_->size(), options_.shuffle, seed_, epoch);
  const auto window_end = std::min(batches_, first_batch + options_.prefetch);
  for (auto batch = first_batch; batch < window_end; ++batch) place(batch) = make_batch(batch);
  prefetch_.start(first_batch, rows_from(first_batch, batches_, samples_->size(), options_));
}

std::optional<Batch> Loader::Workers::next() {
  if (order_.empty() || next_batch_ == batches_) return std::nullopt;
  try {
    prefetch_.wait(next_batch_);
  } catch (...) {
    next_batch_ = batches_;
    throw;
  }
  Batch batch = std::move(place(next_batch_));
  const auto admitted = next_batch_ + options_.prefetch;
  if (admitted < batches_) place(admitted) = make_batch(admitted);
  prefetch_.release();
  batch.replaced =
      replaced_in(batch.names, samples_->dataset(), order_, batch_span(samples_->size(), options_, next_batch_).first);
  ++next_batch_;
  return batch;
}

void Loader::Workers::fill(int64_t batch, int64_t row) {
  const auto plan =
      plan_row(augment_, seed_, epoch_, order_, batch_span(samples_->size(), options_, batch).first + row);
  const auto [sample, index] = samples_->at(order_, plan.position);
  const auto donor = plan.donor ? std::optional(samples_->at(order_, *plan.donor).sample) : std::nullopt;
  const auto side = place(batch).images.size(2);
  write_row(apply_augmentation(sample, side, plan.drawn, donor ? &*donor : nullptr), place(batch), row);
  place(batch).names[static_cast<std::size_t>(row)] = samples_->dataset().item(index).name;
}

Loader::Loader(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
               uint64_t seed)
    : workers_(std::make_unique<Workers>(std::move(samples), options, augment, seed)) {}

Loader::~Loader() = default;

void Loader::start(int64_t epoch, int64_t first_batch) { workers_->start(epoch, first_batch); }

std::optional<Batch> Loader::next() { return workers_->next(); }

int64_t Loader::batches_per_epoch() const { return workers_->batches(); }

}  // namespace codmoe::data
