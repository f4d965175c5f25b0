// The fused kernels against float64 on the CPU, given the inputs as rounded and the routes that the run chose.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "moe/fused_pair.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace codmoe::moe {
namespace {

class FusedGpu : public KindTest {};

/// A pair in evaluation.
struct Pair : FusedPair {
  Pair(int64_t dim, const MoeOptions& options, at::ScalarType type, uint64_t seed)
      : FusedPair(dim, options, type, seed) {
    train(false);
  }
};

Routing on_cpu(const Routing& routing) {
  const auto exact = [](const at::Tensor& tensor) { return tensor.to(c10::kCPU, at::kDouble); };
  return {exact(routing.logits), exact(routing.probs), routing.indices.cpu(), exact(routing.weights)};
}

void expect_exact(FusedPair& pair, const at::Tensor& x, double tolerance) {
  const at::NoGradGuard no_grad;
  ASSERT_EQ(pair.layer->fused_refusal(x), "");
  poison();
  const auto run = pair.layer->forward(x);
  const auto x64 = x.to(c10::kCPU, at::kDouble);
  const auto routing = on_cpu(run.routing);
  const auto wanted = pair.exact->router()->forward(x64);
  EXPECT_LE(test::deviation(routing.logits, wanted.logits), 1e-5);
  EXPECT_LE(test::deviation(routing.probs, wanted.probs), 1e-4);
  EXPECT_TRUE(routing.indices.equal(wanted.indices)) << "near ties are unlikely here";
  EXPECT_LE(test::deviation(routing.weights, wanted.weights), 1e-4);
  const auto y = dispatch(Dispatch::dense, x64, routing, pair.exact->pool());
  EXPECT_LE(test::deviation(run.y_bchw, y), tolerance);
  EXPECT_EQ(run.y_bchw.scalar_type(), x.scalar_type());
}

TEST_P(FusedGpu, EachExpertAlone) {
  for (const auto& name : MoeOptions().experts) {
    SCOPED_TRACE(name);
    Pair pair(288, {.experts = {name}, .top_k = 1}, GetParam().type, 41);
    expect_exact(pair, gpu_images({3, 288, 22, 22}, 42, GetParam().type), GetParam().output);
  }
}

TEST_P(FusedGpu, RandomShapes) {
  std::mt19937_64 random(std::random_device{}());
  const auto pick = [&](auto low, auto high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  for (int round = 0; round < 12; ++round) {
    const auto seed = random();
    const int64_t dim = (pick(0, 1) == 0 ? 32 * pick(1, 16) : 8 * pick(1, 64)), batch = pick(1, 9),
                  height = pick(8, 30), width = pick(8, 30);
    const int64_t top_k = pick(1, 6);
    SCOPED_TRACE(fmt::format("seed {} batch {} dim {} {}x{} top-{}", seed, batch, dim, height, width, top_k));
    Pair pair(dim, {.top_k = top_k}, GetParam().type, seed);
    expect_exact(pair, gpu_images({batch, dim, height, width}, seed + 1, GetParam().type), GetParam().output);
  }
}

TEST_P(FusedGpu, ChannelsThatAreNoMultipleOf32) {
  for (const auto dim : kWidenedChannels) {
    SCOPED_TRACE(dim);
    for (const auto& name : MoeOptions().experts) {
      SCOPED_TRACE(name);
      Pair pair(dim, {.experts = {name}, .top_k = 1}, GetParam().type, 91);
      expect_exact(pair, gpu_images({2, dim, 11, 12}, 92, GetParam().type), GetParam().output);
    }
  }
}

/// As under autocast: parameters in float32, images in bfloat16.
TEST(FusedGpuTest, CopiesParametersOfAnotherType) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const int64_t dim : {96, 112}) {
    for (const bool channels_last : {false, true}) {
      SCOPED_TRACE(fmt::format("{} channels, channels last {}", dim, channels_last));
      FusedPair pair(dim, {}, at::kFloat, 95, channels_last);
      pair.train(false);
      expect_exact(pair, gpu_images({5, dim, 11, 12}, 96, at::kBFloat16), 1e-2);
    }
  }
}

TEST_P(FusedGpu, ThinImagesAndForeignLayouts) {
  Pair pair(64, {.top_k = 3}, GetParam().type, 51);
  for (const auto& size : std::vector<std::vector<int64_t>>{{2, 64, 1, 70}, {2, 64, 70, 1}, {5, 64, 8, 9}}) {
    SCOPED_TRACE(fmt::format("{}x{}", size[2], size[3]));
    const auto x = gpu_images(size, 52, GetParam().type);
    expect_exact(pair, x, GetParam().output);
    expect_exact(pair, x.contiguous(), GetParam().output);
    expect_exact(pair, x.transpose(2, 3), GetParam().output);
  }
}

TEST_P(FusedGpu, TheSameBitsEachTime) {
  const at::NoGradGuard no_grad;
  Pair pair(288, {}, GetParam().type, 61);
  const auto x = gpu_images({4, 288, 22, 22}, 62, GetParam().type);
  const auto first = pair.layer->forward(x).y_bchw;
  for (int i = 0; i < 20; ++i) {
    poison();
    ASSERT_TRUE(pair.layer->forward(x).y_bchw.equal(first));
  }
}

TEST_P(FusedGpu, ReplaysAGraphWithOtherRoutes) {
  const at::NoGradGuard no_grad;
  Pair pair(288, {}, GetParam().type, 71);
  const auto x = gpu_images({8, 288, 22, 22}, 72, GetParam().type);
  const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool());
  pair.layer->forward(x);
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  const auto run = pair.layer->forward(x);
  graph.capture_end();
  for (const int seed : {73, 74, 75}) {
    x.copy_(gpu_images({8, 288, 22, 22}, static_cast<uint64_t>(seed), GetParam().type));
    run.y_bchw.fill_(NAN);
    graph.replay();
    const auto eager = pair.layer->forward(x);
    EXPECT_TRUE(run.y_bchw.equal(eager.y_bchw));
    EXPECT_TRUE(run.routing.indices.equal(eager.routing.indices));
  }
}

TEST_P(FusedGpu, TiesGoToTheLowestIndex) {
  const at::NoGradGuard no_grad;
  Pair pair(32, {.top_k = 3}, GetParam().type, 81);
  force_routes(pair.layer, {1, 4, 4, 1, 4, 4});
  const auto routing = pair.layer->forward(gpu_images({64, 32, 8, 8}, 82, GetParam().type)).routing;
  EXPECT_TRUE(routing.indices.cpu().equal(at::tensor({1, 2, 4}, at::kLong).expand({64, 3})));
}

INSTANTIATE_TEST_SUITE_P(All, FusedGpu, testing::ValuesIn(kKinds), kind_name);

}  // namespace
}  // namespace codmoe::moe

#endif  // CODMOE_CUDA
