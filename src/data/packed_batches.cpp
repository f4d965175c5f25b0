#include "codmoe/data/packed_batches.h"

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <deque>
#include <opencv2/core.hpp>

#include "byte_arena.h"
#include "codmoe/data/augment_row.h"
#include "codmoe/data/loader.h"
#include "device_augment.h"
#include "order.h"
#include "prefetch.h"

namespace codmoe::data {

namespace {

/// What one sample has of an arena.
class Pieces {
 public:
  explicit Pieces(ByteArena& arena) : arena_(arena) {}

  at::Tensor new_image(at::IntArrayRef shape) {
    rooms_.push_back(arena_.take(c10::multiply_integers(shape)));
    return at::from_blob(rooms_.back().bytes, shape, at::kByte);
  }
  /// Of an image that lies in one of them, or else is copied into one now.
  int64_t offset_of(const at::Tensor& image) {
    const auto* bytes = image.const_data_ptr<uint8_t>();
    const auto found = std::ranges::find(rooms_, bytes, &ByteArena::Room::bytes);
    if (found != rooms_.end()) return found->offset;
    const auto room = arena_.take(image.numel());
    std::copy_n(bytes, image.numel(), room.bytes);
    return room.offset;
  }

 private:
  ByteArena& arena_;
  std::vector<ByteArena::Room> rooms_;
};

}  // namespace

int64_t PackedBatch::bytes() const {
  int64_t bytes = 0;
  for (const auto& part : pixels) bytes += part.numel();
  return bytes;
}

class PackedBatches::Ring {
 public:
  Ring(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
       uint64_t seed, bool pinned);

  void start(int64_t epoch, int64_t first_batch);
  int64_t window() const { return options_.prefetch; }
  int64_t batches() const { return batches_; }
  const PackedBatch& wait(int64_t batch);
  bool is_ready(int64_t batch) { return prefetch_.is_ready(batch); }
  void release();

 private:
  struct Buffer {
    explicit Buffer(bool pinned) : arena(pinned) {}
    ByteArena arena;
    PackedBatch batch;
  };
  Buffer& buffer(int64_t batch) { return buffers_[static_cast<std::size_t>(batch % std::ssize(buffers_))]; }
  void empty(int64_t batch);
  void fill(int64_t batch, int64_t row);
  /// Lays the sample at a position of the epoch into an arena.
  struct Packed {
    ops::AugmentSource source;
    int64_t index;
  };
  Packed pack(ByteArena& arena, int64_t position) const;

  const std::shared_ptr<const Samples> samples_;
  const LoaderOptions options_;
  const AugmentOptions augment_;
  const uint64_t seed_;
  const bool pinned_;
  const int64_t batches_;
  int64_t epoch_ = 0, oldest_ = 0;
  std::vector<int64_t> order_;  // of this epoch
  std::deque<Buffer> buffers_;
  Prefetch prefetch_;  // the last: its threads use the others
};

PackedBatches::Ring::Ring(std::shared_ptr<const Samples> samples, const LoaderOptions& options,
                          const AugmentOptions& augment, uint64_t seed, bool pinned)
    : samples_(std::move(samples)),
      options_(options),
      augment_(augment),
      seed_(seed),
      pinned_(pinned),
      batches_(batch_count(samples_->dataset(), options_)),
      prefetch_(worker_count(options_), options_.prefetch, [this](int64_t batch, int64_t row) { fill(batch, row); }) {
  cv::setNumThreads(1);  // the workers are the parallelism
  for (int64_t i = 0; i < options_.prefetch; ++i) buffers_.emplace_back(pinned_);
}

void PackedBatches::Ring::start(int64_t epoch, int64_t first_batch) {
  check_first_batch(first_batch, batches_);
  prefetch_.stop();
  epoch_ = epoch;
  oldest_ = first_batch;
  order_ = sample_order(samples_->size(), options_.shuffle, seed_, epoch);
  const auto window_end = std::min(batches_, first_batch + window());
  for (auto batch = first_batch; batch < window_end; ++batch) empty(batch);
  prefetch_.start(first_batch, rows_from(first_batch, batches_, samples_->size(), options_));
}

void PackedBatches::Ring::empty(int64_t batch) {
  const auto rows = batch_span(samples_->size(), options_, batch).count;
  auto& emptied = buffer(batch);
  emptied.arena.clear();
  emptied.batch = {.pixels = {},
                   .rows_bn = new_rows(rows, pinned_),
                   .side = batch_side(options_, seed_, epoch_, batch),
                   .names = std::vector<std::string>(static_cast<std::size_t>(rows)),
                   .shared_rows = whole_batch(samples_->size(), options_, batch).count};
}

void PackedBatches::Ring::fill(int64_t batch, int64_t row) {
  const auto plan =
      plan_row(augment_, seed_, epoch_, order_, batch_span(samples_->size(), options_, batch).first + row);
  auto& [arena, target] = buffer(batch);
  const auto [source, index] = pack(arena, plan.position);
  const auto donor = plan.donor ? pack(arena, *plan.donor).source : ops::AugmentSource{};
  write_row(augment_row(plan.drawn, target.side, source, donor), row, target.rows_bn);
  target.names[static_cast<std::size_t>(row)] = samples_->dataset().item(index).name;
}

PackedBatches::Ring::Packed PackedBatches::Ring::pack(ByteArena& arena, int64_t position) const {
  Pieces pieces(arena);
  const auto [sample, index] =
      samples_->at(order_, position, [&](at::IntArrayRef shape) { return pieces.new_image(shape); });
  return {source_of(sample, pieces.offset_of(sample.image), pieces.offset_of(sample.mask)), index};
}

const PackedBatch& PackedBatches::Ring::wait(int64_t batch) {
  prefetch_.wait(batch);
  auto& filled = buffer(batch);
  filled.batch.pixels = filled.arena.used();
  filled.batch.replaced =
      replaced_in(filled.batch.names, samples_->dataset(), order_, batch_span(samples_->size(), options_, batch).first);
  return filled.batch;
}

void PackedBatches::Ring::release() {
  const auto admitted = oldest_++ + window();
  if (admitted < batches_) empty(admitted);
  prefetch_.release();
}

PackedBatches::PackedBatches(std::shared_ptr<const Samples> samples, const LoaderOptions& options,
                             const AugmentOptions& augment, uint64_t seed, bool pinned)
    : ring_(std::make_unique<Ring>(std::move(samples), options, augment, seed, pinned)) {}

PackedBatches::~PackedBatches() = default;

void PackedBatches::start(int64_t epoch, int64_t first_batch) { ring_->start(epoch, first_batch); }

int64_t PackedBatches::window() const { return ring_->window(); }

int64_t PackedBatches::batches_per_epoch() const { return ring_->batches(); }

const PackedBatch& PackedBatches::wait(int64_t batch) { return ring_->wait(batch); }

bool PackedBatches::is_ready(int64_t batch) { return ring_->is_ready(batch); }

void PackedBatches::release() { ring_->release(); }

}  // namespace codmoe::data
