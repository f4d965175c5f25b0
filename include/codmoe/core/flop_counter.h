// Floating-point operations, counted where LibTorch dispatches them.
#pragma once

#include <cstdint>

namespace codmoe::core {

/// Counts on this thread, from its construction to its end: convolutions, matrix products and attention, a multiply-add
/// as two. Pointwise operations, norms and pooling are left out, as is usual (fvcore, torch.utils.flop_counter). One at
/// a time on a thread.
class FlopCounter {
 public:
  FlopCounter();
  ~FlopCounter();
  FlopCounter(const FlopCounter&) = delete;
  FlopCounter& operator=(const FlopCounter&) = delete;

  int64_t total() const;

 private:
  uint64_t callback_;
};

}  // namespace codmoe::core
