#include "codmoe/ops/routing.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

/// Probabilities of few distinct values, so that there are many ties.
at::Tensor tied_probabilities(int64_t batch, int64_t experts) {
  const auto p = (test::randn({batch, experts}, 1) * 2).round().abs() + 1;
  return p / p.sum(1, /*keepdim=*/true);
}

TEST(SelectTopK, AgreesWithASortByProbabilityThenIndex) {
  const auto probs = tied_probabilities(50, 6);
  const auto p = probs.accessor<double, 2>();
  for (int64_t k = 1; k <= 6; ++k) {
    const auto choice = select_top_k(probs, k);
    ASSERT_EQ(choice.indices.sizes(), (std::vector<int64_t>{50, k}));
    const auto indices = choice.indices.accessor<int64_t, 2>();
    const auto weights = choice.weights.accessor<double, 2>();
    for (int64_t b = 0; b < 50; ++b) {
      std::vector<int64_t> order(6);
      std::iota(order.begin(), order.end(), 0);
      std::sort(order.begin(), order.end(),
                [&](int64_t i, int64_t j) { return std::pair(-p[b][i], i) < std::pair(-p[b][j], j); });
      double sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += p[b][order[static_cast<std::size_t>(i)]];
      for (int64_t i = 0; i < k; ++i) {
        EXPECT_EQ(indices[b][i], order[static_cast<std::size_t>(i)]);
        EXPECT_NEAR(weights[b][i], p[b][indices[b][i]] / sum, 1e-14);
      }
    }
  }
}

// dw_i/dp_j = (delta_ij - w_i) / sum of the chosen, and 0 for what is not chosen.
TEST(SelectTopK, GradientsReachTheChosenProbabilities) {
  auto probs = at::tensor({0.1, 0.5, 0.15, 0.25}, at::kDouble).view({1, 4}).requires_grad_();
  select_top_k(probs, 2).weights.select(1, 0).sum().backward();
  const auto expected = at::tensor({0.0, (1 - 0.5 / 0.75) / 0.75, 0.0, -(0.5 / 0.75) / 0.75}, at::kDouble).view({1, 4});
  EXPECT_TRUE(test::is_near(probs.grad(), expected, 1e-13));
}

TEST(SelectTopK, ChoosesAtEveryPositionAlike) {
  const auto rows = tied_probabilities(24, 6);  // of 2 images of 3x4 positions
  const auto probs = rows.view({2, 3, 4, 6}).permute({0, 3, 1, 2});
  const auto bias = at::tensor({0.0, 0.2, 0.0, -0.1, 0.0, 0.05}, at::kDouble);
  const auto as_rows = [](const at::Tensor& t) { return t.permute({0, 2, 3, 1}).reshape({24, -1}); };
  for (int64_t k = 1; k <= 6; ++k) {
    const auto expected = select_top_k(rows, k, bias), choice = select_top_k(probs, k, bias);
    ASSERT_EQ(choice.indices.sizes(), (std::vector<int64_t>{2, k, 3, 4}));
    EXPECT_TRUE(as_rows(choice.indices).equal(expected.indices));
    EXPECT_TRUE(test::is_near(as_rows(choice.weights), expected.weights, 1e-15));
  }
}

TEST(SelectTopK, TheBiasSelectsAndNeverWeighs) {
  auto probs = at::tensor({0.1, 0.5, 0.15, 0.25}, at::kDouble).view({1, 4}).requires_grad_();
  auto bias = at::tensor({0.3, 0.0, 0.0, -0.2}, at::kDouble).requires_grad_();
  const auto choice = select_top_k(probs, 3, bias);
  EXPECT_TRUE(choice.indices.equal(at::tensor({1, 0, 2}, at::kLong).view({1, 3})));
  EXPECT_TRUE(test::is_near(choice.weights, at::tensor({0.5, 0.1, 0.15}, at::kDouble).view({1, 3}) / 0.75, 1e-15));
  choice.weights.select(1, 0).sum().backward();
  EXPECT_FALSE(bias.grad().defined());
  EXPECT_EQ(probs.grad()[0][3].item<double>(), 0.0);
}

TEST(SelectTopK, TiesOfBiasedSumsGoToTheLowestIndex) {
  const auto probs = at::tensor({0.125, 0.5, 0.25, 0.125}, at::kDouble).view({1, 4});
  const auto bias = at::tensor({0.375, 0.0, 0.25, 0.375}, at::kDouble);  // every sum is 0.5
  EXPECT_TRUE(select_top_k(probs, 3, bias).indices.equal(at::tensor({0, 1, 2}, at::kLong).view({1, 3})));
}

TEST(SelectTopK, RefusesImpossibleCounts) {
  const auto probs = at::full({2, 3}, 1.0 / 3);
  EXPECT_THROW(select_top_k(probs, 0), c10::Error);
  EXPECT_THROW(select_top_k(probs, 4), c10::Error);
  EXPECT_THROW(select_top_k(probs[0], 1), c10::Error);
  EXPECT_THROW(select_top_k(probs.unsqueeze(2), 1), c10::Error);
  EXPECT_THROW(select_top_k(probs, 1, at::zeros({2})), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
