// Gradients of the structure loss against central differences.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/loss/structure_loss.h"
#include "support/gradcheck.h"

namespace codmoe::loss {
namespace {

/// A soft-edged mask in [0, 1] with an object, and an empty one.
at::Tensor masks() {
  auto mask = at::zeros({2, 1, 5, 7}, at::kDouble);
  mask[0].slice(1, 1, 4).slice(2, 2, 5).fill_(1);
  mask[0][0][2][5] = 0.5;
  return mask;
}

TEST(StructureLossGradients, AgreeWithCentralDifferences) {
  for (const auto bce : {BceWeighting::fixed, BceWeighting::legacy}) {
    const StructureLossOptions options{.bce = bce, .window = 3, .weight = 4.0};
    const auto logits = test::leaf(2 * test::randn({2, 1, 5, 7}, 1));
    const auto function = [&] { return test::TensorMap{{"loss", structure_loss(logits, masks(), options)}}; };
    EXPECT_TRUE(test::gradcheck(function, {{"logits", logits}}, {.full = true, .step = 1e-5, .absolute = 1e-9}));
  }
}

TEST(StructureLossGradients, OfSeveralOutputs) {
  const auto first = test::leaf(test::randn({2, 1, 5, 7}, 2)), second = test::leaf(test::randn({2, 1, 5, 7}, 3));
  const auto function = [&] {
    return test::TensorMap{{"loss", structure_loss(std::vector<at::Tensor>{first, second}, masks(), {.window = 5})}};
  };
  EXPECT_TRUE(test::gradcheck(function, {{"first", first}, {"second", second}},
                              {.full = true, .step = 1e-5, .absolute = 1e-9}));
}

}  // namespace
}  // namespace codmoe::loss
