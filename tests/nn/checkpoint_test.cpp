// A checkpointed call against the call itself: bit for bit, whatever state it was made in.
#include "codmoe/nn/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include "codmoe/core/memory_meter.h"
#include "codmoe/nn/drop_path.h"
#include "codmoe/nn/norm.h"
#include "codmoe/nn/weights.h"

namespace codmoe::nn {
namespace {

/// Autocast to bfloat16 on the CPU, as in training.
class Bfloat16 {
 public:
  Bfloat16() {
    at::autocast::set_autocast_enabled(c10::kCPU, true);
    at::autocast::set_autocast_dtype(c10::kCPU, at::kBFloat16);
    at::autocast::increment_nesting();
  }
  ~Bfloat16() {
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(c10::kCPU, false);
  }
};

/// Convolution, batch norm, dropout, and a residual branch with stochastic depth; counts its runs.
class Block : public torch::nn::Module {
 public:
  Block()
      : conv1_(register_module("conv1", conv())),
        norm_(register_module("norm", torch::nn::BatchNorm2d(8))),
        conv2_(register_module("conv2", conv())),
        drop_path_(register_module("drop_path", DropPath())) {
    drop_path_->set_rate(0.4);
  }

  at::Tensor forward(const at::Tensor& x_bchw) {
    runs += 1;
    const auto y = at::dropout(norm_(conv1_(x_bchw)).relu_(), 0.3, is_training());
    const auto z = conv2_(y);
    dtypes.push_back(z.scalar_type());
    return y + drop_path_(z);
  }

  int runs = 0;
  std::vector<at::ScalarType> dtypes;

 private:
  static torch::nn::Conv2d conv() { return torch::nn::Conv2d(torch::nn::Conv2dOptions(8, 8, 3).padding(1)); }

  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d norm_;
  torch::nn::Conv2d conv2_;
  DropPath drop_path_;
};

std::shared_ptr<Block> make_block() {
  at::manual_seed(3);
  return std::make_shared<Block>();
}

CheckpointedCall call_of(const std::shared_ptr<Block>& block) {
  return {.function = [block](const at::Tensor& x) { return block->forward(x); }, .modules = {block}};
}

/// The block's result, its parameters' gradients and running statistics, x's gradient, and a random number drawn last.
TensorMap step(bool checkpointed, bool autocast, at::Tensor x) {
  const auto block = make_block();
  at::manual_seed(11);
  at::Tensor y;
  {
    std::optional<Bfloat16> scope;
    if (autocast) scope.emplace();
    y = checkpointed ? checkpoint(call_of(block), x) : block->forward(x);
  }
  TensorMap result{{"y", y.detach().clone()}, {"drawn before", at::rand({5})}};
  (y * at::linspace(-1, 1, y.numel()).view_as(y)).sum().backward();
  result["drawn after"] = at::rand({5});
  for (const auto& [name, tensor] : state_dict(*block)) result[name] = tensor;
  for (const auto& item : block->named_parameters()) result["gradient of " + item.key()] = item.value().grad();
  if (x.requires_grad()) result["gradient of x"] = x.grad();
  EXPECT_EQ(block->runs, checkpointed ? 2 : 1);
  for (const auto dtype : block->dtypes) EXPECT_EQ(dtype, autocast ? at::kBFloat16 : at::kFloat);
  return result;
}

at::Tensor some_input() {
  at::manual_seed(5);
  return at::randn({6, 8, 7, 9});
}

/// autocast, whether x needs a gradient
class CheckpointTest : public ::testing::TestWithParam<std::tuple<bool, bool>> {};

TEST_P(CheckpointTest, ChangesNoBit) {
  const auto [autocast, input_learns] = GetParam();
  const auto plain = step(false, autocast, some_input().requires_grad_(input_learns));
  const auto checkpointed = step(true, autocast, some_input().requires_grad_(input_learns));
  ASSERT_EQ(plain.size(), checkpointed.size());
  for (const auto& [name, tensor] : plain) {
    ASSERT_TRUE(tensor.defined()) << name;
    EXPECT_TRUE(checkpointed.at(name).equal(tensor)) << name;
  }
  EXPECT_EQ(checkpointed.at("norm.num_batches_tracked").item<int64_t>(), 1);
  EXPECT_GT(checkpointed.at("gradient of conv1.weight").abs().max().item<double>(), 0.0);
}

INSTANTIATE_TEST_SUITE_P(All, CheckpointTest, ::testing::Combine(::testing::Bool(), ::testing::Bool()),
                         [](const auto& which) {
                           return std::string(std::get<0>(which.param) ? "Bfloat16" : "Float32") +
                                  (std::get<1>(which.param) ? "OfFeatures" : "OfAnImage");
                         });

TEST(Checkpoint, WithoutPreservingDrawsAnew) {  // so the comparison above can fail
  const auto block = make_block();
  std::vector<at::Tensor> drawn;
  auto call = call_of(block);
  call.function = [&](const at::Tensor& x) {
    drawn.push_back(at::rand({4}));
    return block->forward(x);
  };
  call.preserve_random_state = false;
  checkpoint(call, some_input()).sum().backward();
  ASSERT_EQ(drawn.size(), 2U);
  EXPECT_FALSE(drawn[0].equal(drawn[1]));
}

TEST(Checkpoint, GradientsOfSeveralBackwardPassesAddUp) {
  const auto block = make_block();
  block->eval();
  for (int i = 0; i < 2; ++i) checkpoint(call_of(block), some_input()).sum().backward();
  const auto twice = block->parameters()[0].grad().clone();
  block->zero_grad();
  block->forward(some_input()).sum().backward();
  EXPECT_TRUE(twice.allclose(2 * block->parameters()[0].grad()));
}

TEST(Checkpoint, LeavesNoCastOfWeightsBehind) {
  const auto block = make_block();
  block->eval();
  const auto forward = [&] {
    const Bfloat16 scope;
    return checkpoint(call_of(block), some_input());
  };
  forward().sum().backward();
  const c10::NoGradGuard no_grad;
  for (auto& parameter : block->parameters()) parameter.zero_();  // as an optimizer would change them
  EXPECT_TRUE(forward().eq(0).all().item<bool>());
  EXPECT_TRUE(at::autocast::is_autocast_cache_enabled());
}

TEST(Checkpoint, RunsOnceWhereNothingLearns) {
  const auto block = make_block();
  {
    const c10::NoGradGuard no_grad;
    EXPECT_FALSE(checkpoint(call_of(block), some_input()).requires_grad());
  }
  for (auto& parameter : block->parameters()) parameter.set_requires_grad(false);
  EXPECT_FALSE(checkpoint(call_of(block), some_input()).requires_grad());
  EXPECT_EQ(block->runs, 2);
}

TEST(Checkpoint, KeepsItsInputAlone) {
  const auto block = make_block();
  const auto x = some_input().requires_grad_();
  auto call = call_of(block);
  int64_t random_bytes = at::globalContext().defaultGenerator(c10::kCPU).get_state().nbytes();
  const core::MemoryMeter meter;
  auto y = checkpoint(call, x);
  EXPECT_EQ(meter.live(), static_cast<int64_t>(y.nbytes()) + random_bytes);
  y = at::Tensor();
  EXPECT_EQ(meter.live(), 0);
  y = block->forward(x);
  EXPECT_GE(meter.live(), 3 * static_cast<int64_t>(y.nbytes()));
}

TEST(Checkpoint, RefusesNormsWhoseStatisticsItCannotKeep) {
  const auto block = make_block();
  block->register_module("masked", Norm(NormKind::batch, 8));
  EXPECT_THROW(checkpoint(call_of(block), some_input()), c10::Error);
}

}  // namespace
}  // namespace codmoe::nn
