#include "epoch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace codmoe::data {

Epoch::Epoch(int64_t first, int64_t end, int64_t batch_size, int64_t prefetch, MakeBatch make_batch)
    : end_(end),
      batch_size_(batch_size),
      prefetch_(prefetch),
      make_batch_(std::move(make_batch)),
      next_to_open_(first) {
  open_slots();
}

void Epoch::open_slots() {
  while (next_to_open_ < end_ && std::ssize(slots_) < prefetch_) {
    Slot slot;
    slot.batch = make_batch_(next_to_open_);
    slot.first = next_to_open_ * batch_size_;
    slots_.push_back(std::move(slot));
    ++next_to_open_;
  }
}

std::optional<Task> Epoch::claim() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopped_) return std::nullopt;
    const auto open = std::find_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.claimed < s.rows(); });
    if (open != slots_.end()) return Task{&*open, open->claimed++};
    if (next_to_open_ == end_) return std::nullopt;
    work_.wait(lock);
  }
}

void Epoch::finish(const Task& task, std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  Slot& slot = *task.slot;
  if (failure && (!slot.failure || task.row < slot.failed_row)) {
    slot.failure = std::move(failure);
    slot.failed_row = task.row;
  }
  if (++slot.finished == slot.rows()) ready_.notify_one();
}

std::optional<Batch> Epoch::take() {
  std::unique_lock lock(mutex_);
  if (stopped_ || slots_.empty()) return std::nullopt;
  ready_.wait(lock, [&] { return slots_.front().finished == slots_.front().rows(); });
  if (slots_.front().failure) {
    stopped_ = true;
    work_.notify_all();
    std::rethrow_exception(slots_.front().failure);
  }
  Batch batch = std::move(slots_.front().batch);
  slots_.pop_front();
  open_slots();
  work_.notify_all();
  return batch;
}

void Epoch::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  work_.notify_all();
}

}  // namespace codmoe::data
