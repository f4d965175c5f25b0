// Gradients of the operations against central differences.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "codmoe/ops/band_split.h"
#include "codmoe/ops/batch_norm_act.h"
#include "codmoe/ops/bias.h"
#include "codmoe/ops/edges.h"
#include "codmoe/ops/resize.h"
#include "codmoe/ops/routing.h"
#include "support/gradcheck.h"

namespace codmoe::ops {
namespace {

const std::vector<std::vector<int64_t>> kShapes = {{2, 2, 4, 3}, {1, 3, 1, 5}, {2, 1, 6, 1}, {3, 2, 1, 1}};

TEST(OpGradients, BandSplit) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(shape, ", ")));
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const auto x = test::leaf(test::randn(shape, 1).contiguous(format));
      const auto function = [&] {
        const auto bands = band_split(x);
        return test::TensorMap{{"low", bands.low}, {"mid", bands.mid}, {"high", bands.high}};
      };
      EXPECT_TRUE(test::gradcheck(function, {{"x", x}}, {.full = true}));
    }
  }
}

TEST(OpGradients, EdgeMaps) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(shape, ", ")));
    const auto x = test::leaf(test::randn(shape, 2));
    // |Laplacian| has a kink at 0; the roots are steep near it.
    ASSERT_GT(edge_maps(x).laplacian.min().item<double>(), 1e-2);
    const auto function = [&] {
      const auto maps = edge_maps(x);
      return test::TensorMap{{"sobel", maps.sobel}, {"laplacian", maps.laplacian}, {"gradient", maps.gradient}};
    };
    EXPECT_TRUE(test::gradcheck(function, {{"x", x}}, {.full = true}));
  }
}

TEST(OpGradients, EdgeMapsOfAFlatRegion) {
  const auto x = test::leaf(at::full({1, 1, 5, 5}, 0.25, at::kDouble));
  // The centre's Sobel response is 0, where its root is smooth on the scale of 1e-3; the Laplacian is left out there.
  const auto function = [&] { return test::TensorMap{{"sobel", edge_maps(x).sobel}}; };
  EXPECT_TRUE(test::gradcheck(function, {{"x", x}}, {.full = true, .step = 1e-7}));
}

TEST(OpGradients, BatchNormAct) {
  const std::vector<std::vector<int64_t>> masks = {{1, 1, 1}, {0, 1, 1}, {0, 1, 0}, {0, 0, 0}};
  for (const auto& shape : {std::vector<int64_t>{3, 2, 2, 3}, {3, 2, 1, 1}}) {
    for (const auto& chosen : masks) {
      SCOPED_TRACE(fmt::format("{} of {}", fmt::join(chosen, ", "), fmt::join(shape, ", ")));
      const auto x = test::leaf(1 + 2 * test::randn(shape, 3));
      const auto weight = test::leaf(1 + 0.3 * test::randn({2}, 4)), bias = test::leaf(test::randn({2}, 5));
      const auto mask = at::tensor(chosen).to(at::kBool);
      const auto function = [&] {
        const BatchNormState state{weight, bias, at::zeros({2}, at::kDouble), at::ones({2}, at::kDouble)};
        return test::TensorMap{{"y", batch_norm_act(x, mask, state, Activation::gelu)}};
      };
      EXPECT_TRUE(test::gradcheck(function, {{"x", x}, {"weight", weight}, {"bias", bias}}, {.full = true}));
    }
  }
}

/// Each gradient alone, and both.
const std::vector<std::vector<bool>> kWanted = {{true, false}, {false, true}, {true, true}};

test::TensorMap wanted_leaves(const std::vector<at::Tensor>& inputs, const std::vector<bool>& wanted) {
  test::TensorMap leaves;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (wanted[i]) leaves[fmt::format("input {}", i)] = inputs[i].requires_grad_();
  }
  return leaves;
}

TEST(OpGradients, AddBias) {
  for (const auto& wanted : kWanted) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(wanted, ", ")));
    for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
      const auto y = test::randn({2, 4, 3, 2}, 7).contiguous(format), bias = test::randn({4}, 8);
      const auto leaves = wanted_leaves({y, bias}, wanted);
      EXPECT_TRUE(test::gradcheck([&] { return test::TensorMap{{"sum", add_bias(y, bias)}}; }, leaves, {.full = true}));
    }
  }
}

TEST(OpGradients, AddResized) {
  for (const auto& wanted : kWanted) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(wanted, ", ")));
    for (const auto& size : {std::vector<int64_t>{3, 2}, {6, 4}, {7, 3}}) {
      const auto onto = test::randn({2, 2, 6, 4}, 9), x = test::randn({2, 2, size[0], size[1]}, 10);
      const auto leaves = wanted_leaves({onto, x}, wanted);
      const auto function = [&] { return test::TensorMap{{"sum", add_resized(onto, x)}}; };
      EXPECT_TRUE(test::gradcheck(function, leaves, {.full = true}));
    }
  }
}

TEST(OpGradients, TopKWeights) {
  const auto probs = test::leaf(test::randn({4, 6}, 6).softmax(1));
  // No step may change the order.
  const auto sorted = std::get<0>(probs.detach().sort(1));
  ASSERT_GT(sorted.diff(1, 1).min().item<double>(), 1e-3);
  for (int64_t k = 1; k <= 6; ++k) {
    SCOPED_TRACE(k);
    const auto function = [&] { return test::TensorMap{{"weights", select_top_k(probs, k).weights}}; };
    EXPECT_TRUE(test::gradcheck(function, {{"probs", probs}}, {.full = true}));
  }
}

}  // namespace
}  // namespace codmoe::ops
