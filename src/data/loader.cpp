#include "codmoe/data/loader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <opencv2/core.hpp>
#include <thread>
#include <utility>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"
#include "epoch.h"
#include "mat.h"
#include "order.h"

namespace codmoe::data {
namespace {

/// One epoch: the order of its samples, and the window that moves over it.
struct Pass {
  int64_t epoch;
  std::vector<int64_t> order;
  std::unique_ptr<Epoch> window;
};

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

Sample read_sample(const Item& item) {
  Sample sample{read_image(item.image), read_mask(item.mask)};
  if (sample.image.size(0) == sample.mask.size(0) && sample.image.size(1) == sample.mask.size(1)) return sample;
  throw core::Error(fmt::format("{}: is {}x{}, its mask {} is {}x{} (width x height)", item.image.string(),
                                sample.image.size(1), sample.image.size(0), item.mask.string(), sample.mask.size(1),
                                sample.mask.size(0)));
}

class Loader::Workers {
 public:
  Workers(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options, const AugmentOptions& augment,
          uint64_t seed, bool pin_memory, std::shared_ptr<const SampleCache> cache);
  ~Workers();

  void start(int64_t epoch, int64_t first_batch);
  std::optional<Batch> next();
  int64_t batches() const { return batches_; }
  bool keeps_samples() const { return cache_ != nullptr; }

 private:
  Batch make_batch(const Pass& pass, int64_t index) const;
  std::shared_ptr<Pass> wait_for_pass(const std::shared_ptr<Pass>& last);
  void work();
  void fill(const Pass& pass, const Task& task) const;

  const std::shared_ptr<const Dataset> dataset_;
  const std::shared_ptr<const SampleCache> cache_;
  const LoaderOptions options_;
  const AugmentOptions augment_;
  const uint64_t seed_;
  const bool pin_memory_;
  const int64_t batches_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Pass> pass_;
  bool quit_ = false;
  std::vector<std::thread> threads_;
};

Loader::Workers::Workers(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options,
                         const AugmentOptions& augment, uint64_t seed, bool pin_memory,
                         std::shared_ptr<const SampleCache> cache)
    : dataset_(std::move(dataset)),
      cache_(std::move(cache)),
      options_(options),
      augment_(augment),
      seed_(seed),
      pin_memory_(pin_memory && at::hasCUDA()),
      batches_(batch_count(*dataset_, options_)) {
  cv::setNumThreads(1);  // the workers are the parallelism
  for (int64_t i = 0; i < worker_count(options_); ++i) threads_.emplace_back([this] { work(); });
}

Loader::Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    quit_ = true;
    if (pass_) pass_->window->stop();
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Batch Loader::Workers::make_batch(const Pass& pass, int64_t index) const {
  const auto [first, rows] = batch_span(std::ssize(pass.order), options_, index);
  const auto side = batch_side(options_, seed_, pass.epoch, index);
  const auto memory = at::TensorOptions(at::kByte).pinned_memory(pin_memory_);
  Batch batch{at::empty({rows, 3, side, side}, memory), at::empty({rows, 1, side, side}, memory), {}};
  for (int64_t row = 0; row < rows; ++row) {
    batch.names.push_back(dataset_->item(pass.order[static_cast<std::size_t>(first + row)]).name);
  }
  return batch;
}

void Loader::Workers::start(int64_t epoch, int64_t first_batch) {
  TORCH_CHECK(first_batch >= 0 && first_batch <= batches(), "loader: first batch must be in 0 ... ", batches(), ", is ",
              first_batch);
  auto pass =
      std::make_shared<Pass>(Pass{epoch, sample_order(dataset_->size(), options_.shuffle, seed_, epoch), nullptr});
  const auto* shared = pass.get();
  pass->window = std::make_unique<Epoch>(first_batch, batches(), options_.batch_size, options_.prefetch,
                                         [this, shared](int64_t index) { return make_batch(*shared, index); });
  {
    const std::lock_guard lock(mutex_);
    if (pass_) pass_->window->stop();
    pass_ = std::move(pass);
  }
  changed_.notify_all();
}

std::optional<Batch> Loader::Workers::next() {
  return pass_ ? pass_->window->take() : std::nullopt;  // only the consumer, which calls this, replaces pass_
}

std::shared_ptr<Pass> Loader::Workers::wait_for_pass(const std::shared_ptr<Pass>& last) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return quit_ || pass_ != last; });
  return quit_ ? nullptr : pass_;
}

void Loader::Workers::work() {
  std::shared_ptr<Pass> pass;
  while ((pass = wait_for_pass(pass))) {
    while (const auto task = pass->window->claim()) {
      std::exception_ptr failure;
      try {
        fill(*pass, *task);
      } catch (...) {
        failure = std::current_exception();
      }
      pass->window->finish(*task, std::move(failure));
    }
  }
}

void Loader::Workers::fill(const Pass& pass, const Task& task) const {
  const int64_t index = pass.order[static_cast<std::size_t>(task.slot->first + task.row)];
  const Augmentation drawn = augmentation_of(augment_, seed_, pass.epoch, index);
  const auto read = [&](int64_t i) { return cache_ ? cache_->sample(i) : read_sample(dataset_->item(i)); };
  const auto donor_index = donor_of(drawn, index, dataset_->size());
  const auto donor = donor_index ? std::optional(read(*donor_index)) : std::nullopt;
  write_row(apply_augmentation(read(index), task.slot->batch.images.size(2), drawn, donor ? &*donor : nullptr),
            task.slot->batch, task.row);
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options, const AugmentOptions& augment,
               uint64_t seed, bool pin_memory, std::shared_ptr<const SampleCache> cache)
    : workers_(std::make_unique<Workers>(std::move(dataset), options, augment, seed, pin_memory, std::move(cache))) {}

Loader::~Loader() = default;

void Loader::start(int64_t epoch, int64_t first_batch) { workers_->start(epoch, first_batch); }

std::optional<Batch> Loader::next() { return workers_->next(); }

int64_t Loader::batches_per_epoch() const { return workers_->batches(); }

Cache Loader::place() const { return workers_->keeps_samples() ? Cache::ram : Cache::none; }

}  // namespace codmoe::data
