// forward_at() must be forward() at the positions, in value and every gradient, whatever it saves.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codmoe/experts/registry.h"
#include "support/tensors.h"

namespace codmoe::experts {
namespace {

TEST(GatherPositions, CountsImageRowColumn) {
  const auto x = at::arange(2 * 3 * 2 * 4).view({2, 3, 2, 4});
  const auto y = gather_positions(x, at::tensor({15, 0, 5, 0}, at::kLong));
  ASSERT_EQ(y.sizes(), (std::vector<int64_t>{1, 3, 4, 1}));
  EXPECT_TRUE(y.select(2, 0).flatten().equal(x[1].select(1, 1).select(1, 3)));
  EXPECT_TRUE(y.select(2, 2).flatten().equal(x[0].select(1, 1).select(1, 1)));
  EXPECT_TRUE(y.select(2, 1).equal(y.select(2, 3)));
}

struct Outcome {
  at::Tensor y;
  core::TensorMap gradients;
};

Outcome run(Expert& expert, const at::Tensor& x_bchw, const at::Tensor& positions, bool whole) {
  expert.zero_grad();
  const auto x = x_bchw.clone().requires_grad_();
  const auto y = whole ? gather_positions(expert.forward(x), positions) : expert.forward_at(x, positions);
  y.backward(test::randn(y.sizes(), 3));
  auto gradients = test::gradients(expert);
  gradients["input"] = x.grad();
  return {y.detach(), gradients};
}

class ForwardAt : public testing::TestWithParam<std::string> {};

TEST_P(ForwardAt, EqualsForward) {
  const auto positions = at::tensor({0, 3, 7, 11, 12, 30, 31, 59, 3}, at::kLong);  // of 2 * 5 * 6
  for (const auto norm : {nn::NormKind::batch, nn::NormKind::group, nn::NormKind::layer}) {
    for (const bool training : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", core::name_of(norm), training ? "training" : "evaluation"));
      const auto expert = make_expert(GetParam(), {.dim = 10, .norm = norm});
      expert->to(at::kDouble);
      test::randomize(*expert, 4);
      expert->train(training);
      const auto x = test::randn({2, 10, 5, 6}, 5);
      const auto expected = run(*expert, x, positions, /*whole=*/true);
      const auto actual = run(*expert, x, positions, /*whole=*/false);
      EXPECT_TRUE(test::is_near(actual.y, expected.y, 1e-12));
      EXPECT_TRUE(test::are_near(actual.gradients, expected.gradients, 1e-11));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ForwardAt, testing::ValuesIn(expert_names()),
                         [](const auto& which) { return which.param; });

TEST(SavesAtPositions, WhereNoStatisticFollows) {
  const auto saves = [](const char* name, nn::NormKind norm, bool training) {
    const auto expert = make_expert(name, {.dim = 8, .norm = norm});
    expert->train(training);
    return expert->saves_at_positions();
  };
  for (const char* name : {"texture", "frequency", "edge", "contrast"}) {
    SCOPED_TRACE(name);
    EXPECT_FALSE(saves(name, nn::NormKind::batch, true));
    EXPECT_TRUE(saves(name, nn::NormKind::batch, false));
    EXPECT_FALSE(saves(name, nn::NormKind::group, false));
    EXPECT_TRUE(saves(name, nn::NormKind::layer, true));
  }
  EXPECT_TRUE(saves("hybrid", nn::NormKind::group, true));
  EXPECT_FALSE(saves("attention", nn::NormKind::layer, false));
}

}  // namespace
}  // namespace codmoe::experts
