// Gradients of the band split on a GPU, where LibTorch's own pooling has wrong ones for channels-last inputs.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/ops/band_split.h"
#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::ops {
namespace {

at::Tensor gradient(const at::Tensor& x_bchw, const at::Tensor& upstream_bchw) {
  const auto x = x_bchw.detach().requires_grad_();
  const auto bands = band_split(x);
  (bands.low + 2 * bands.mid - 3 * bands.high).backward(upstream_bchw);
  return x.grad().cpu();
}

TEST(BandSplitGpu, GradientsAreTheCpuOnes) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto x = test::randn({3, 8, 9, 7}, 1), upstream = test::randn({3, 8, 9, 7}, 2);
  const auto expected = gradient(x, upstream);
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    EXPECT_LE(test::deviation(gradient(x.cuda().contiguous(format), upstream.cuda()), expected), 1e-12);
    EXPECT_LE(test::deviation(gradient(x.cuda(), upstream.cuda().contiguous(format)), expected), 1e-12);
  }
}

}  // namespace
}  // namespace codmoe::ops
