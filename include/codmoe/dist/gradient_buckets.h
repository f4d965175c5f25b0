// Gradients summed over the ranks while the backward pass still computes others.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// Parameters lie in buckets, the last first, as their gradients come; the sum of a bucket starts when its last
/// gradient is there, and runs beside the rest of the backward pass. Buckets go in one order on every rank, whatever
/// order gradients come in; a parameter that nothing flowed into on a rank counts as zero there. Nothing waits for the
/// host. Source: Li et al. 2020, PyTorch Distributed.
class GradientBuckets {
 public:
  /// Of parameters that need a gradient; each must be in the buckets of one object alone, which must outlive the last
  /// backward pass. `bytes`: a bucket's, at least.
  GradientBuckets(Group& group, const std::vector<at::Tensor>& parameters, int64_t bytes = 25 << 20);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// The next backward pass is the last of this step: what it leaves in the gradients is to be summed.
  void start();
  /// After it. Every parameter's gradient is the sum over the ranks then, and a view of its bucket.
  void finish();

 private:
  class Buckets;
  std::shared_ptr<Buckets> buckets_;
};

}  // namespace codmoe::dist
