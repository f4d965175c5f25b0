// The fused training kernels against float64 on the CPU, forward and backward, given the inputs as rounded.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codmoe/moe/balance.h"
#include "moe/fused_pair.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/autograd/autograd.h>

namespace codmoe::moe {
namespace {

class FusedTrainingGpu : public KindTest {};

/// The names of what deviates by more than the tolerance, and by how much.
std::string worst(const core::TensorMap& actual, const core::TensorMap& expected, double tolerance) {
  std::string text;
  for (const auto& [name, value] : expected) {
    const auto found = test::worst_deviation({{name, actual.at(name)}}, {{name, value}});
    if (!(found <= tolerance)) text += fmt::format("\n  {} by {:.2e}", name, found);
  }
  return text;
}

/// Root mean square of all tensors' deviations. The worst of a hundred varies too much to compare two of them: which
/// algorithm cuDNN takes for a shape decides whether it forms products in TF32 at all.
double typical(const core::TensorMap& actual, const core::TensorMap& expected) {
  double sum = 0;
  for (const auto& [name, value] : expected) {
    const double found = test::worst_deviation({{name, actual.at(name)}}, {{name, value}});
    sum += found * found;
  }
  return std::sqrt(sum / static_cast<double>(expected.size()));
}

/// Two roundings of a TF32 operand. For some shapes cuDNN forms no product in TF32, and eager is no measure. Deviations
/// are relative to a tensor's largest value, which of a few channels is smaller beside the typical one (1.26e-3 seen of
/// 8).
double tf32_rounding(int64_t channels) { return channels < 32 ? 2.0 / 1024 : 1.0 / 1024; }

void expect_exact(FusedPair& pair, const at::Tensor& x, const Kind& kind, uint64_t seed) {
  {
    const at::AutoGradMode gradients(true);
    ASSERT_EQ(pair.layer->fused_refusal(x), "");
  }
  const auto upstream = gpu_images(x.sizes(), seed, kind.type);
  poison();
  const auto run = run_layer(pair.layer, Dispatch::fused, x, upstream);
  const auto exact = [](const at::Tensor& tensor) { return tensor.to(c10::kCPU, at::kDouble); };
  const auto wanted = run_layer(pair.exact, Dispatch::dense, exact(x), exact(upstream));
  ASSERT_TRUE(run.routing.indices.cpu().equal(wanted.routing.indices)) << "near ties are unlikely here";
  EXPECT_LE(test::deviation(run.y, wanted.y), kind.output);
  const double rounding = kind.type == at::kBFloat16 ? 4e-3 : 1e-5;
  EXPECT_LE(test::worst_deviation(run.buffers, wanted.buffers), std::max(rounding, kind.output))
      << worst(run.buffers, wanted.buffers, rounding);
  if (kind.gradient > 0) {
    EXPECT_LE(test::worst_deviation(run.gradients, wanted.gradients), kind.gradient)
        << worst(run.gradients, wanted.gradients, kind.gradient);
  } else {
    const auto eager = run_layer(pair.layer, Dispatch::batched, x, upstream);
    const auto limit =
        std::max(1.5 * typical(eager.gradients, wanted.gradients), kind.tf32 ? tf32_rounding(x.size(1)) : 0.0);
    const auto worst_limit = 3 * std::max(test::worst_deviation(eager.gradients, wanted.gradients), limit);
    EXPECT_LE(typical(run.gradients, wanted.gradients), limit) << worst(run.gradients, wanted.gradients, 2 * limit);
    EXPECT_LE(test::worst_deviation(run.gradients, wanted.gradients), worst_limit)
        << worst(run.gradients, wanted.gradients, worst_limit);
  }
}

TEST_P(FusedTrainingGpu, EachExpertAlone) {
  for (const auto& name : MoeOptions().experts) {
    SCOPED_TRACE(name);
    FusedPair pair(288, {.experts = {name}, .top_k = 1}, GetParam().type, 41);
    expect_exact(pair, gpu_images({3, 288, 22, 22}, 42, GetParam().type), GetParam(), 43);
  }
}

TEST_P(FusedTrainingGpu, TheWholeLayer) {
  FusedPair pair(288, {}, GetParam().type, 51);
  expect_exact(pair, gpu_images({9, 288, 22, 22}, 52, GetParam().type), GetParam(), 53);
}

TEST_P(FusedTrainingGpu, RandomShapes) {
  std::mt19937_64 random(std::random_device{}());
  const auto pick = [&](auto low, auto high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  for (int round = 0; round < 8; ++round) {
    const auto seed = random();
    const int64_t dim = (pick(0, 1) == 0 ? 32 * pick(1, 16) : 8 * pick(1, 64)), batch = pick(1, 12),
                  height = pick(8, 26), width = pick(8, 26);
    const int64_t top_k = pick(1, 6);
    SCOPED_TRACE(fmt::format("seed {} batch {} dim {} {}x{} top-{}", seed, batch, dim, height, width, top_k));
    FusedPair pair(dim, {.top_k = top_k}, GetParam().type, seed, pick(0, 1) == 1);
    expect_exact(pair, gpu_images({batch, dim, height, width}, seed + 1, GetParam().type), GetParam(), seed + 2);
  }
}

TEST_P(FusedTrainingGpu, ChannelsThatAreNoMultipleOf32) {
  for (const auto dim : kWidenedChannels) {
    SCOPED_TRACE(dim);
    for (const auto& name : MoeOptions().experts) {
      SCOPED_TRACE(name);
      FusedPair pair(dim, {.experts = {name}, .top_k = 1}, GetParam().type, 55);
      expect_exact(pair, gpu_images({3, dim, 11, 12}, 56, GetParam().type), GetParam(), 57);
    }
  }
}

TEST_P(FusedTrainingGpu, ThinImagesAndForeignLayouts) {
  FusedPair pair(64, {.top_k = 3}, GetParam().type, 61);
  for (const auto& size : std::vector<std::vector<int64_t>>{{2, 64, 1, 70}, {2, 64, 70, 1}, {5, 64, 8, 9}}) {
    SCOPED_TRACE(fmt::format("{}x{}", size[2], size[3]));
    const auto x = gpu_images(size, 62, GetParam().type);
    expect_exact(pair, x.contiguous(), GetParam(), 63);
    expect_exact(pair, x.transpose(2, 3), GetParam(), 64);
  }
}

TEST_P(FusedTrainingGpu, ManyImages) {
  FusedPair pair(32, {}, GetParam().type, 131);  // from 64 slots on, blocks take more positions
  expect_exact(pair, gpu_images({64, 32, 9, 8}, 132, GetParam().type), GetParam(), 133);
}

TEST_P(FusedTrainingGpu, OtherPools) {
  for (const auto& names :
       std::vector<std::vector<std::string>>{{"edge", "texture"}, {"hybrid", "hybrid", "contrast"}}) {
    SCOPED_TRACE(names.front());
    FusedPair pair(64, {.experts = names, .top_k = 2}, GetParam().type, 141);
    expect_exact(pair, gpu_images({6, 64, 12, 10}, 142, GetParam().type), GetParam(), 143);
  }
}

TEST_P(FusedTrainingGpu, UnusedExpertsStay) {
  FusedPair pair(64, {}, GetParam().type, 71);
  force_routes(pair.layer, {0, 0, 4, 0, 0, 4});
  const auto before = test::buffers(*pair.layer);
  const auto x = gpu_images({4, 64, 9, 8}, 72, GetParam().type);
  poison();
  const auto run = run_layer(pair.layer, Dispatch::fused, x, gpu_images(x.sizes(), 73, GetParam().type));
  for (const int64_t e : {0, 1, 3, 4}) {
    const auto prefix = fmt::format("experts.{}.", e);
    for (const auto& [name, gradient] : run.gradients) {
      if (!name.starts_with(prefix)) continue;
      EXPECT_EQ(gradient.abs().max().item<double>(), 0.0) << name;
    }
    for (const auto& [name, value] : run.buffers) {
      if (!name.starts_with(prefix)) continue;
      EXPECT_TRUE(value.equal(before.at(name))) << name;
    }
  }
}

/// Gradients of all that the router gives: the balance loss, and the weights themselves.
core::TensorMap router_gradients(SparseCODMoE& layer, Dispatch dispatch, const at::Tensor& x_bchw) {
  layer->zero_grad();
  layer->set_dispatch(dispatch);
  const auto x = x_bchw.detach().requires_grad_();
  const auto out = layer->forward(x);
  const BalanceOptions balance{.min = 0.5, .max = 0.5, .entropy = 0.3, .z = 0.2};
  const auto kept =
      out.routing.weights *
      at::arange(out.routing.weights.numel(), out.routing.weights.options()).view(out.routing.weights.sizes());
  (balance_loss(out.routing, balance, 0) + kept.square().sum()).backward();
  return {{"weight", layer->named_parameters()["router.gate.weight"].grad().clone()},
          {"bias", layer->named_parameters()["router.gate.bias"].grad().clone()},
          {"input", x.grad()}};
}

TEST_P(FusedTrainingGpu, TheRouterAlone) {
  FusedPair pair(64, {.top_k = 3}, GetParam().type, 81);
  const auto x = gpu_images({6, 64, 9, 8}, 82, GetParam().type);
  const auto wanted = router_gradients(pair.exact, Dispatch::dense, x.to(c10::kCPU, at::kDouble));
  poison();
  const auto found = router_gradients(pair.layer, Dispatch::fused, x);
  const double tolerance = GetParam().type == at::kBFloat16 ? 5e-3 : 1e-4;
  EXPECT_LE(test::worst_deviation(found, wanted), tolerance) << worst(found, wanted, tolerance);
}

TEST_P(FusedTrainingGpu, NoiseIsThatOfTheRouter) {
  FusedPair pair(32, {.router = {.noise = 2.0}}, GetParam().type, 91);
  const auto x = gpu_images({16, 32, 8, 8}, 92, GetParam().type);
  const auto routes = [&](Dispatch dispatch) {
    at::manual_seed(93);
    pair.layer->set_dispatch(dispatch);
    return pair.layer->forward(x).routing;
  };
  const auto fused = routes(Dispatch::fused), batched = routes(Dispatch::batched);
  EXPECT_TRUE(fused.indices.equal(batched.indices));
  EXPECT_LE(test::deviation(fused.weights, batched.weights), 1e-4);
}

TEST_P(FusedTrainingGpu, TheSameBitsEachTime) {
  FusedPair pair(288, {}, GetParam().type, 101);
  const auto x = gpu_images({12, 288, 22, 22}, 102, GetParam().type),
             upstream = gpu_images(x.sizes(), 103, GetParam().type);
  const auto first = run_layer(pair.layer, Dispatch::fused, x, upstream);
  for (int i = 0; i < 10; ++i) {
    poison();
    const auto again = run_layer(pair.layer, Dispatch::fused, x, upstream);
    ASSERT_TRUE(again.y.equal(first.y));
    ASSERT_TRUE(test::are_equal(again.gradients, first.gradients));
    ASSERT_TRUE(test::are_equal(again.buffers, first.buffers));
  }
}

TEST_P(FusedTrainingGpu, ReplaysAGraphWithOtherRoutes) {
  FusedPair pair(288, {}, GetParam().type, 111);
  auto& layer = pair.layer;
  auto x = gpu_images({8, 288, 22, 22}, 112, GetParam().type);
  const auto upstream = gpu_images(x.sizes(), 113, GetParam().type);
  const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool());
  const auto leaf = x.detach().requires_grad_();
  const auto step = [&] {
    layer->zero_grad();
    leaf.mutable_grad() = at::Tensor();
    auto out = layer->forward(leaf);
    out.y_bchw.backward(upstream);
    return out;
  };
  step();
  layer->zero_grad();
  leaf.mutable_grad() = at::Tensor();
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  const auto out = step();
  graph.capture_end();
  auto captured = layer->parameters();
  std::vector<at::Tensor> captured_gradients;
  for (const auto& parameter : captured) captured_gradients.push_back(parameter.grad());
  const auto captured_input = leaf.grad();
  for (const int seed : {114, 115, 116}) {
    {
      const at::NoGradGuard no_grad;
      leaf.copy_(gpu_images(x.sizes(), static_cast<uint64_t>(seed), GetParam().type));
      captured_input.fill_(NAN);
      out.y_bchw.detach().fill_(NAN);
      for (const auto& gradient : captured_gradients) gradient.fill_(NAN);
    }
    graph.replay();
    const auto eager = step();
    EXPECT_TRUE(out.y_bchw.equal(eager.y_bchw));
    EXPECT_TRUE(out.routing.indices.equal(eager.routing.indices));
    EXPECT_TRUE(captured_input.equal(leaf.grad()));
    for (std::size_t i = 0; i < captured.size(); ++i) {
      EXPECT_TRUE(captured_gradients[i].equal(captured[i].grad())) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FusedTrainingGpu, testing::ValuesIn(kKinds), kind_name);

TEST(FusedTrainingGpuTest, HasNoSecondDerivative) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  FusedPair pair(32, {}, at::kFloat, 151);
  const auto x = gpu_images({4, 32, 8, 8}, 152, at::kFloat).requires_grad_();
  const auto y = pair.layer->forward(x).y_bchw.square().sum();
  EXPECT_THROW(torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true, /*create_graph=*/true), c10::Error);
}

TEST(FusedTrainingGpuTest, BackwardTwiceGivesTheSame) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  FusedPair pair(32, {}, at::kFloat, 161);
  const auto x = gpu_images({4, 32, 8, 8}, 162, at::kFloat).requires_grad_();
  const auto y = pair.layer->forward(x).y_bchw.square().sum();
  const auto first = torch::autograd::grad({y}, {x}, {}, /*retain_graph=*/true);
  const auto second = torch::autograd::grad({y}, {x});
  EXPECT_TRUE(first[0].equal(second[0]));
  EXPECT_THROW(torch::autograd::grad({y}, {x}), c10::Error);
}

TEST(FusedTrainingGpuTest, RunsUnderAutocast) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  FusedPair pair(64, {}, at::kFloat, 121);
  const auto rounded = [](uint64_t seed) { return gpu_images({6, 64, 12, 12}, seed, at::kBFloat16).to(at::kFloat); };
  const auto x = rounded(122), upstream = rounded(123);
  const auto run = [&](Dispatch dispatch) {
    const Bfloat16Autocast autocast(c10::kCUDA);
    return run_layer(pair.layer, dispatch, x, upstream);
  };
  const auto fused = run(Dispatch::fused), batched = run(Dispatch::batched);
  const auto wanted =
      run_layer(pair.exact, Dispatch::dense, x.to(c10::kCPU, at::kDouble), upstream.to(c10::kCPU, at::kDouble));
  EXPECT_EQ(fused.y.scalar_type(), at::kFloat);
  EXPECT_LE(test::deviation(fused.y, wanted.y), 1e-2);
  EXPECT_LE(typical(fused.gradients, wanted.gradients), 1.5 * typical(batched.gradients, wanted.gradients));
}

}  // namespace
}  // namespace codmoe::moe

#endif  // CODMOE_CUDA
