// When the fused kernels are not for a layer, and what runs instead. Their results: fused_gpu_test.cpp.
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "moe/layer_run.h"
#include "support/register_once.h"

namespace codmoe::moe {
namespace {

class UndescribedExpert final : public experts::Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return x_bchw; }
};

std::string refusal(const MoeOptions& options, bool training, bool gradients) {
  const at::AutoGradMode mode(gradients);
  SparseCODMoE layer(32, options);
  layer->train(training);
  return layer->fused_refusal(test::randn({2, 32, 4, 4}, 1).to(at::kFloat));
}

TEST(FusedRefusal, SaysWhy) {
  test::register_once("undescribed", [](const auto&) { return std::make_shared<UndescribedExpert>(); });
  EXPECT_EQ(refusal({}, /*training=*/false, /*gradients=*/true), "gradients in evaluation mode are not its");
  EXPECT_EQ(refusal({.routing = RoutingKind::spatial}, false, false), "routing is spatial");
  EXPECT_EQ(refusal({.experts = {"edge", "undescribed"}}, false, false), "expert 1 has no description");
  EXPECT_EQ(refusal({.norm = nn::NormKind::group}, false, false), "expert 0 has a norm without running statistics");
  for (const bool training : {false, true}) {  // of the default pool only the CPU is refused
    EXPECT_NE(refusal({}, training, training), "");
    EXPECT_EQ(refusal({}, training, training).find("expert"), std::string::npos);
  }
}

TEST(FusedRefusal, OfAFrozenNorm) {
  SparseCODMoE layer(32, MoeOptions{});
  layer->pool()[3]->modules().back()->eval();
  EXPECT_EQ(layer->fused_refusal(test::randn({2, 32, 4, 4}, 1).to(at::kFloat)),
            "some modules are in training, others in evaluation");
}

TEST(FusedFallback, IsBatched) {
  auto layer = make_layer(32, {}, 2);
  const auto x = spread_images({5, 32, 6, 4}, 3);
  const auto expected = run_layer(layer, Dispatch::batched, x, x);
  expect_same(run_layer(layer, Dispatch::fused, x, x), expected, 0.0);
  layer->eval();
  const at::NoGradGuard no_grad;
  const auto run = [&](Dispatch dispatch) {
    layer->set_dispatch(dispatch);
    return layer->forward(x).y_bchw;
  };
  EXPECT_TRUE(run(Dispatch::fused).equal(run(Dispatch::batched)));
  EXPECT_TRUE(run(Dispatch::automatic).equal(run(Dispatch::batched)));
}

}  // namespace
}  // namespace codmoe::moe
