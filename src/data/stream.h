// Batches of samples that are decoded on the host and changed on a CUDA device.
#pragma once

#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <array>
#include <memory>
#include <vector>

#include "codmoe/data/packed_batches.h"

namespace codmoe::data {

/// Decoded samples go to the device by a stream of copies that runs ahead of the consumer; its own stream waits for
/// them there. The host waits for copies only where all buffers of the ring are in one.
class StreamLoader : public BatchSource {
 public:
  StreamLoader(std::shared_ptr<const Samples> samples, const LoaderOptions& options, const AugmentOptions& augment,
               uint64_t seed, c10::Device device);

  void start(int64_t epoch, int64_t first_batch = 0) override;
  std::optional<Batch> next() override;
  int64_t batches_per_epoch() const override { return packed_.batches_per_epoch(); }

 private:
  /// One batch's samples on the device; two take turns.
  struct Arrival {
    at::Tensor pixels;  // grows to the largest batch
    at::Tensor rows;
    int64_t side = 0;
    std::vector<std::string> names;
    int64_t replaced = 0, shared_rows = 0;
    c10::Event used{c10::kCUDA};  // the batch is made of it
  };
  Arrival& arrival(int64_t batch) { return arrivals_[static_cast<std::size_t>(batch % std::ssize(arrivals_))]; }
  c10::Event& copied(int64_t batch) { return copied_[static_cast<std::size_t>(batch % std::ssize(copied_))]; }
  void send(int64_t batch);
  void release_oldest();
  Batch make(int64_t batch);

  const c10::Device device_;
  const c10::Stream copies_;
  PackedBatches packed_;
  std::array<Arrival, 2> arrivals_;
  std::vector<c10::Event> copied_;  // of each buffer of the ring
  // Batches before these: given out, on their way or there, with their buffers given back.
  int64_t next_ = 0, sent_ = 0, released_ = 0;
  int64_t end_ = 0;  // next_ stops here: 0 before start(), and after a failure where it happened
};

}  // namespace codmoe::data
