// Every dispatch on a GPU against float64 on the CPU, and what must not wait for the device.
#include <ATen/Context.h>
#include <gtest/gtest.h>

#ifdef CODMOE_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

#include "moe/layer_cases.h"
#include "support/cuda.h"

namespace codmoe::moe {
namespace {

class GpuDispatch : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  }
};

class GpuPrecision : public GpuDispatch, public testing::WithParamInterface<StrategyAndRouting> {};

TEST_P(GpuPrecision, Float32IsNearFloat64) {
  auto& context = at::globalContext();
  const bool tf32 = context.allowTF32CuDNN();
  context.setAllowTF32CuDNN(false);  // cuBLAS doesn't use it by default
  expect_near_float64(c10::kCUDA, GetParam(), /*autocast=*/false,
                      {.output = 2e-5, .gradient = 2e-4, .statistics = 2e-5});
  context.setAllowTF32CuDNN(tf32);
}

TEST_P(GpuPrecision, AutocastIsNearFloat64) {
  expect_near_float64(c10::kCUDA, GetParam(), /*autocast=*/true, {.output = 0.05, .gradient = 0.2, .statistics = 0.05});
}

INSTANTIATE_TEST_SUITE_P(All, GpuPrecision, kStrategiesAndRoutings, case_name);

TEST_F(GpuDispatch, DenseAndBatchedAgreeInFloat64) {
  test::for_all(25, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    layer->to(c10::kCUDA);
    const auto x = lay_out(c.images().to(c10::kCUDA), c.input);
    const auto upstream = lay_out(c.upstreams().to(c10::kCUDA), c.upstream);
    expect_same(run_layer(layer, Dispatch::dense, x, upstream), run_layer(layer, Dispatch::batched, x, upstream),
                1e-10);
  });
}

TEST_F(GpuDispatch, TiesGoToTheLowestIndex) {
  auto layer = make_layer(8, {.top_k = 3}, 33);
  force_routes(layer, {1, 4, 4, 1, 4, 4});
  layer->to(c10::kCUDA);
  const auto routing = layer->forward(spread_images({64, 8, 2, 2}, 34).to(c10::kCUDA)).routing;
  EXPECT_TRUE(routing.indices.cpu().equal(at::tensor({1, 2, 4}, at::kLong).expand({64, 3})));
}

#ifdef CODMOE_CUDA

/// Makes any wait for the device throw while it lives.
class ThrowOnSync {
 public:
  ThrowOnSync() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR); }
  ~ThrowOnSync() { c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED); }
};

/// A training step of a small layer on the GPU, at each call.
class Step {
 public:
  Step(Dispatch strategy, nn::NormKind norm, RoutingKind routing = RoutingKind::global)
      : layer_(16,
               MoeOptions{
                   .routing = routing, .dispatch = strategy, .norm = norm, .balance = {.method = BalanceMethod::bias}}),
        x_(test::randn({8, 16, 6, 6}, 35).to(c10::kCUDA, at::kFloat)) {
    layer_->to(c10::kCUDA);
  }
  void operator()() {
    const auto output = layer_->forward(x_);
    (output.y_bchw.square().mean() + balance_loss(output.routing, layer_->options().balance, 0)).backward();
    layer_->update_balance();
  }
  void train(bool on) { layer_->train(on); }

 private:
  SparseCODMoE layer_;
  at::Tensor x_;
};

TEST_F(GpuDispatch, DenseNeverWaitsForTheDevice) {
  for (const auto routing : {RoutingKind::global, RoutingKind::spatial}) {
    for (const auto norm : kNorms) {
      SCOPED_TRACE(fmt::format("{} {}", core::name_of(routing), core::name_of(norm)));
      Step step(Dispatch::dense, norm, routing);
      step();  // libraries may wait when they start
      const ThrowOnSync guard;
      EXPECT_NO_THROW(step());
      step.train(false);
      EXPECT_NO_THROW(step());
    }
  }
}

TEST_F(GpuDispatch, BatchedWaitsForTheChoices) {  // shows that the test above can fail
  Step step(Dispatch::batched, nn::NormKind::batch);
  step();
  const ThrowOnSync guard;
  EXPECT_THROW(step(), c10::Error);
}

#endif  // CODMOE_CUDA

}  // namespace
}  // namespace codmoe::moe
