#include "prefetch.h"

#include <algorithm>
#include <utility>

namespace codmoe::data {

Prefetch::Prefetch(int64_t threads, int64_t window, Fill fill)
    : window_(static_cast<std::size_t>(window)), fill_(std::move(fill)) {
  for (int64_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Prefetch::~Prefetch() {
  {
    const std::scoped_lock lock(mutex_);
    quit_ = stopped_ = true;
  }
  work_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Prefetch::stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  done_.wait(lock, [&] { return filling_ == 0; });
  slots_.clear();
  waiting_.clear();
}

void Prefetch::start(int64_t first, std::vector<int64_t> rows_of) {
  const std::scoped_lock lock(mutex_);
  front_ = first;
  waiting_.assign(rows_of.begin(), rows_of.end());
  stopped_ = false;
  admit();
}

void Prefetch::admit() {
  while (!waiting_.empty() && slots_.size() < window_) {
    slots_.push_back({.rows = waiting_.front()});
    waiting_.pop_front();
  }
  work_.notify_all();
}

void Prefetch::wait(int64_t batch) {
  std::unique_lock lock(mutex_);
  auto& filled = slot(batch);
  done_.wait(lock, [&] { return filled.finished == filled.rows; });
  if (!filled.failure) return;
  stopped_ = true;
  std::rethrow_exception(filled.failure);
}

bool Prefetch::is_ready(int64_t batch) {
  const std::scoped_lock lock(mutex_);
  if (batch >= front_ + static_cast<int64_t>(slots_.size())) return false;
  const auto& filled = slot(batch);
  return filled.finished == filled.rows && !filled.failure;
}

void Prefetch::release() {
  const std::scoped_lock lock(mutex_);
  slots_.pop_front();
  ++front_;
  admit();
}

bool Prefetch::claim(Task& task) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (quit_) return false;
    const auto open =
        std::ranges::find_if(slots_, [](const Slot& candidate) { return candidate.claimed < candidate.rows; });
    if (!stopped_ && open != slots_.end()) {
      task = {front_ + (open - slots_.begin()), open->claimed++};
      ++filling_;
      return true;
    }
    work_.wait(lock);
  }
}

void Prefetch::finish(const Task& task, std::exception_ptr failure) {
  const std::scoped_lock lock(mutex_);
  --filling_;
  auto& filled = slot(task.batch);
  ++filled.finished;
  if (failure && (!filled.failure || task.row < filled.failed_row)) {
    filled.failure = std::move(failure);
    filled.failed_row = task.row;
  }
  if (filled.finished == filled.rows || (stopped_ && filling_ == 0)) done_.notify_all();
}

void Prefetch::work() {
  for (Task task{}; claim(task);) {
    std::exception_ptr failure;
    try {
      fill_(task.batch, task.row);
    } catch (...) {
      failure = std::current_exception();
    }
    finish(task, std::move(failure));
  }
}

}  // namespace codmoe::data
