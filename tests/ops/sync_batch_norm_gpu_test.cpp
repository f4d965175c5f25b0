// Batch norm over ranks on CUDA, of one rank: NCCL refuses two on one GPU. Of several, tests/engine has the CPU's.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "codmoe/dist/shared_statistics.h"
#include "codmoe/ops/batch_norm_act.h"
#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::ops {
namespace {

const c10::Device kGpu{c10::kCUDA, 0};

struct Outcome {
  at::Tensor y, grad_x, grad_weight, grad_bias, running_mean, running_var, batches;
};

Outcome run(at::ScalarType type, const std::optional<at::Tensor>& mask_b, dist::Group* group) {
  const auto on_gpu = [](const at::Tensor& x) { return x.to(kGpu, at::kFloat); };
  const auto x = (3 + 2 * on_gpu(test::randn({4, 12, 9, 7}, 1)))
                     .to(type)
                     .contiguous(at::MemoryFormat::ChannelsLast)
                     .requires_grad_();
  BatchNormState state{.weight = on_gpu(test::randn({12}, 2)).requires_grad_(),
                       .bias = on_gpu(test::randn({12}, 3)).requires_grad_(),
                       .running_mean = at::zeros({12}, kGpu),
                       .running_var = at::ones({12}, kGpu),
                       .batches = at::zeros({}, at::device(kGpu).dtype(at::kLong))};
  const dist::SharedStatistics shared(group, true);
  const auto y = batch_norm_act(x, mask_b, state, Activation::relu6);
  y.backward(on_gpu(test::randn({4, 12, 9, 7}, 4)).to(type));
  return {y, x.grad(), state.weight.grad(), state.bias.grad(), state.running_mean, state.running_var, state.batches};
}

void expect_close(const Outcome& actual, const Outcome& expected, double tolerance) {
  const auto close = [&](const at::Tensor& a, const at::Tensor& b) {
    return at::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
  };
  EXPECT_TRUE(close(actual.y, expected.y));
  EXPECT_TRUE(close(actual.grad_x, expected.grad_x));
  EXPECT_TRUE(close(actual.grad_weight, expected.grad_weight));
  EXPECT_TRUE(close(actual.grad_bias, expected.grad_bias));
  EXPECT_TRUE(close(actual.running_mean, expected.running_mean));
  EXPECT_TRUE(close(actual.running_var, expected.running_var));
  EXPECT_TRUE(at::equal(actual.batches, expected.batches));
}

TEST(SyncBatchNormGpu, OfOneRankIsBatchNorm) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  dist::Group group(c10::make_intrusive<c10d::HashStore>(), 0, 1, kGpu);
  const auto mask = at::tensor({1, 0, 1, 1}).to(kGpu, at::kBool);
  for (const auto& mask_b : {std::optional<at::Tensor>(), std::optional(mask)}) {
    expect_close(run(at::kFloat, mask_b, &group), run(at::kFloat, mask_b, nullptr), 1e-4);
  }
}

}  // namespace
}  // namespace codmoe::ops
