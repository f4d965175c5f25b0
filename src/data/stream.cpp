#include "stream.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "device_augment.h"
#include "order.h"

namespace codmoe::data {

namespace {

c10::Stream stream_for_copies(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

c10::Stream current_stream(c10::Device device) { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

}  // namespace

StreamLoader::StreamLoader(std::shared_ptr<const Samples> samples, const LoaderOptions& options,
                           const AugmentOptions& augment, uint64_t seed, c10::Device device)
    : device_(device),
      copies_(stream_for_copies(device)),
      packed_(std::move(samples), options, augment, seed, /*pinned=*/true) {
  for (int64_t i = 0; i < packed_.window(); ++i) copied_.emplace_back(c10::kCUDA);
}

void StreamLoader::start(int64_t epoch, int64_t first_batch) {
  check_first_batch(first_batch, batches_per_epoch());
  // Buffers are written from now on: none may still be on its way.
  for (; released_ < sent_; ++released_) copied(released_).synchronize();
  packed_.start(epoch, first_batch);
  next_ = sent_ = released_ = first_batch;
  end_ = batches_per_epoch();
}

std::optional<Batch> StreamLoader::next() {
  if (next_ == end_) return std::nullopt;
  while (released_ < sent_ && copied(released_).query()) release_oldest();
  try {
    if (sent_ == next_) send(next_);
  } catch (...) {
    end_ = next_;
    throw;
  }
  auto batch = make(next_);
  // One ahead: its copy runs beside what the consumer does with this batch.
  if (sent_ == next_ + 1 && packed_.is_ready(sent_)) send(sent_);
  ++next_;
  return batch;
}

void StreamLoader::release_oldest() {
  copied(released_++).synchronize();
  packed_.release();
}

void StreamLoader::send(int64_t batch) {
  while (batch - released_ >= packed_.window()) release_oldest();
  const auto& packed = packed_.wait(batch);
  auto& target = arrival(batch);
  const c10::StreamGuard guard(copies_);
  target.used.block(copies_);
  const auto bytes = packed.bytes();
  if (!target.pixels.defined() || target.pixels.numel() < bytes) {
    target.pixels = at::empty({bytes + bytes / 4}, at::TensorOptions(at::kByte).device(device_));
  }
  int64_t begin = 0;
  for (const auto& part : packed.pixels) {
    target.pixels.narrow(0, begin, part.numel()).copy_(part, /*non_blocking=*/true);
    begin += part.numel();
  }
  target.rows = packed.rows_bn.to(device_, /*non_blocking=*/true);
  target.side = packed.side;
  target.names = packed.names;
  target.replaced = packed.replaced;
  target.shared_rows = packed.shared_rows;
  copied(batch).record(copies_);
  sent_ = batch + 1;
}

Batch StreamLoader::make(int64_t batch) {
  auto& source = arrival(batch);
  const auto stream = current_stream(device_);
  copied(batch).block(stream);
  // Their memory belongs to the stream of copies: it must not go back to it before this stream has read it.
  for (const auto* tensor : {&source.pixels, &source.rows}) tensor->record_stream(stream);
  auto made = make_on_device(source.pixels, source.rows, source.side);
  source.used.record(stream);
  made.names = std::move(source.names);
  made.replaced = source.replaced;
  made.shared_rows = source.shared_rows;
  return made;
}

}  // namespace codmoe::data
