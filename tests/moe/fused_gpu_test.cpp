// The fused kernels against float64 on the CPU, given the inputs as rounded and the routes that the run chose.
#include <ATen/Context.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "moe/layer_run.h"
#include "support/cuda.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace codmoe::moe {
namespace {

struct Kind {
  const char* name;
  at::ScalarType type;
  bool tf32;
  double tolerance;  ///< of outputs, relative to the largest
};
constexpr Kind kKinds[] = {
    {"float32", at::kFloat, false, 1e-5}, {"tf32", at::kFloat, true, 2e-3}, {"bfloat16", at::kBFloat16, false, 1e-2}};

class FusedGpu : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    before_ = at::globalContext().allowTF32CuDNN();
    at::globalContext().setAllowTF32CuDNN(GetParam().tf32);
  }
  void TearDown() override { at::globalContext().setAllowTF32CuDNN(before_); }

 private:
  bool before_ = false;
};

/// Leaves NaN in the memory that the next tensors get.
void poison() { const auto bytes = at::full({int64_t{64} << 20}, 255, at::TensorOptions(c10::kCUDA).dtype(at::kByte)); }

/// A layer on the GPU in evaluation, its experts in the kind's type, and the same values in float64 on the CPU.
struct Pair {
  SparseCODMoE layer, exact;

  Pair(int64_t dim, const MoeOptions& options, at::ScalarType type, uint64_t seed)
      : layer(make_layer(dim, options, seed)), exact(dim, options) {
    layer->to(at::kFloat);
    for (const auto& expert : layer->pool()) expert->to(type);
    exact->to(at::kDouble);
    nn::load_state(*exact, nn::state_dict(*layer));
    layer->to(c10::kCUDA);
    layer->eval();
    exact->eval();
    layer->set_dispatch(Dispatch::fused);
  }
};

Routing on_cpu(const Routing& routing) {
  const auto exact = [](const at::Tensor& tensor) { return tensor.to(c10::kCPU, at::kDouble); };
  return {exact(routing.logits), exact(routing.probs), routing.indices.cpu(), exact(routing.weights)};
}

void expect_exact(Pair& pair, const at::Tensor& x, double tolerance) {
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

at::Tensor images(at::IntArrayRef shape, uint64_t seed, at::ScalarType type) {
  return spread_images(shape, seed).to(c10::kCUDA, type).contiguous(at::MemoryFormat::ChannelsLast);
}

TEST_P(FusedGpu, EachExpertAlone) {
  for (const auto& name : MoeOptions().experts) {
    SCOPED_TRACE(name);
    Pair pair(288, {.experts = {name}, .top_k = 1}, GetParam().type, 41);
    expect_exact(pair, images({3, 288, 22, 22}, 42, GetParam().type), GetParam().tolerance);
  }
}

TEST_P(FusedGpu, RandomShapes) {
  std::mt19937_64 random(std::random_device{}());
  const auto pick = [&](auto low, auto high) { return std::uniform_int_distribution<int64_t>(low, high)(random); };
  for (int round = 0; round < 12; ++round) {
    const auto seed = random();
    const int64_t dim = 32 * pick(1, 16), batch = pick(1, 9), height = pick(8, 30), width = pick(8, 30);
    const int64_t top_k = pick(1, 6);
    SCOPED_TRACE(fmt::format("seed {} batch {} dim {} {}x{} top-{}", seed, batch, dim, height, width, top_k));
    Pair pair(dim, {.top_k = top_k}, GetParam().type, seed);
    expect_exact(pair, images({batch, dim, height, width}, seed + 1, GetParam().type), GetParam().tolerance);
  }
}

TEST_P(FusedGpu, ThinImagesAndForeignLayouts) {
  Pair pair(64, {.top_k = 3}, GetParam().type, 51);
  for (const auto& size : std::vector<std::vector<int64_t>>{{2, 64, 1, 70}, {2, 64, 70, 1}, {5, 64, 8, 9}}) {
    SCOPED_TRACE(fmt::format("{}x{}", size[2], size[3]));
    const auto x = images(size, 52, GetParam().type);
    expect_exact(pair, x, GetParam().tolerance);
    expect_exact(pair, x.contiguous(), GetParam().tolerance);
    expect_exact(pair, x.transpose(2, 3), GetParam().tolerance);
  }
}

TEST_P(FusedGpu, TheSameBitsEachTime) {
  const at::NoGradGuard no_grad;
  Pair pair(288, {}, GetParam().type, 61);
  const auto x = images({4, 288, 22, 22}, 62, GetParam().type);
  const auto first = pair.layer->forward(x).y_bchw;
  for (int i = 0; i < 20; ++i) {
    poison();
    ASSERT_TRUE(pair.layer->forward(x).y_bchw.equal(first));
  }
}

TEST_P(FusedGpu, ReplaysAGraphWithOtherRoutes) {
  const at::NoGradGuard no_grad;
  Pair pair(288, {}, GetParam().type, 71);
  const auto x = images({8, 288, 22, 22}, 72, GetParam().type);
  const c10::cuda::CUDAStreamGuard stream(c10::cuda::getStreamFromPool());
  pair.layer->forward(x);
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  const auto run = pair.layer->forward(x);
  graph.capture_end();
  for (const int seed : {73, 74, 75}) {
    x.copy_(images({8, 288, 22, 22}, static_cast<uint64_t>(seed), GetParam().type));
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
  const auto routing = pair.layer->forward(images({64, 32, 8, 8}, 82, GetParam().type)).routing;
  EXPECT_TRUE(routing.indices.cpu().equal(at::tensor({1, 2, 4}, at::kLong).expand({64, 3})));
}

INSTANTIATE_TEST_SUITE_P(All, FusedGpu, testing::ValuesIn(kKinds),
                         [](const auto& which) { return std::string(which.param.name); });

}  // namespace
}  // namespace codmoe::moe

#endif  // CODMOE_CUDA
