// Edge and uncertainty loss, and the sum of all: against make_extra_loss_vectors.py and plain sums.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"
#include "codmoe/loss/detection_loss.h"
#include "codmoe/loss/edge_loss.h"
#include "support/gradcheck.h"

namespace codmoe::loss {
namespace {

core::TensorMap vectors() {
  return core::load_safetensors(CODMOE_SOURCE_DIR "/tests/loss/data/extra_losses.safetensors").tensors;
}

template <class Loss>
void expect_saved(const char* name, const Loss& loss) {
  const auto file = vectors();
  const auto logits = file.at("logits").to(at::kDouble).requires_grad_();
  const auto value = loss(logits, file.at("mask").to(at::kDouble));
  value.backward();
  const auto expected = test::with_prefix(file, std::string(name) + ".");
  EXPECT_TRUE(test::is_near(value, expected.at("value"), 1e-10));
  EXPECT_TRUE(test::is_near(logits.grad(), expected.at("grad"), 1e-9));
}

TEST(EdgeLoss, AgreesWithPlainLoops) {
  expect_saved("edge", [](const auto& logits, const auto& mask) { return edge_loss(logits, mask); });
}

TEST(EdgeLoss, AgreesWithCentralDifferences) {
  const auto file = vectors();
  const auto logits = test::leaf(file.at("logits").to(at::kDouble)), mask = file.at("mask").to(at::kDouble);
  EXPECT_TRUE(test::gradcheck(
      [&] {
        return test::TensorMap{{"loss", edge_loss(logits, mask)}};
      },
      {{"logits", logits}}, {.full = true, .step = 1e-5, .absolute = 1e-9}));
}

TEST(EdgeLoss, IsNothingForTheSameOutlineAndHasNoNotANumber) {
  auto mask = at::zeros({2, 1, 16, 16});
  mask[0].slice(1, 4, 9).slice(2, 3, 12).fill_(1);
  auto logits = ((mask * 2 - 1) * 40).requires_grad_();
  const auto value = edge_loss(logits, mask);
  value.backward();
  EXPECT_LT(value.item<double>(), 1e-5);
  EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
  EXPECT_GT(edge_loss(logits.roll(3, 3), mask).item<double>(), 0.15);  // half of the images have an outline
  EXPECT_EQ(edge_loss(logits.to(at::kBFloat16), mask).scalar_type(), at::kFloat);
  EXPECT_THROW(edge_loss(at::zeros({1, 1, 2, 8}), at::zeros({1, 1, 2, 8})), c10::Error);
  EXPECT_THROW(edge_loss(at::zeros({1, 1, 8, 8}), at::zeros({1, 1, 8, 4})), c10::Error);
}

TEST(UncertaintyLoss, AgreesWithPlainLoops) {
  expect_saved("uncertainty", [](const auto& logits, const auto&) { return uncertainty_loss(logits); });
}

TEST(UncertaintyLoss, AgreesWithCentralDifferences) {
  const auto logits = test::leaf(2 * test::randn({2, 1, 3, 4}, 4));
  EXPECT_TRUE(test::gradcheck(
      [&] {
        return test::TensorMap{{"loss", uncertainty_loss(logits)}};
      },
      {{"logits", logits}}, {.full = true, .step = 1e-5, .absolute = 1e-9}));
}

TEST(UncertaintyLoss, CoefficientGrowsByACosine) {
  std::vector<double> found;
  for (int i = 0; i <= 10; ++i)
    found.push_back(uncertainty_coefficient({.weight = 0.5, .start = 0.2, .end = 0.8}, i / 10.0));
  EXPECT_TRUE(test::is_near(at::tensor(found, at::kDouble), vectors().at("coefficients"), 1e-12));
}

/// Three outputs of the saved shapes.
std::vector<at::Tensor> outputs() {
  const auto logits = vectors().at("logits").to(at::kDouble);
  return {logits, logits * 0.5 - 1, -logits};
}

TEST(DetectionLoss, IsTheStructureLossWhereTheRestIsOff) {
  const auto mask = vectors().at("mask").to(at::kDouble);
  EXPECT_TRUE(detection_loss(outputs(), mask, {}, at::ones({})).equal(structure_loss(outputs(), mask, {})));
}

TEST(DetectionLoss, SumsItsTerms) {
  const auto all = outputs();
  const auto mask = vectors().at("mask").to(at::kDouble);
  const DetectionLossOptions options{
      .structure = {.level_weights = {1.0, 0.0, 2.5}}, .edge = 0.3, .uncertainty = {.weight = 1}};
  const auto value = detection_loss(all, mask, options, at::full({}, 0.7, at::kDouble));
  const auto expected = structure_loss(all[0], mask, {}) + 2.5 * structure_loss(all[2], mask, {}) +
                        0.3 * edge_loss(all[0], mask) + 0.7 * uncertainty_loss(all[0]);
  EXPECT_TRUE(test::is_near(value, expected, 1e-12));
}

TEST(DetectionLoss, RefusesOtherNumbersOfLevels) {
  const auto mask = vectors().at("mask").to(at::kDouble);
  EXPECT_THROW(detection_loss(outputs(), mask, {.structure = {.level_weights = {1, 1}}}, {}), c10::Error);
}

TEST(DetectionLossOptions, RefusesWhatMeansNothing) {
  const auto refuses = [](const core::Json& tree) {
    DetectionLossOptions options;
    try {
      core::read_options(tree, {}, options);
    } catch (const core::UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refuses({{"window", 30}}), "window must be odd; it is 30");
  EXPECT_EQ(refuses({{"level_weights", {0, 0.0}}}), "level_weights must not all be 0");
  EXPECT_EQ(refuses({{"uncertainty", {{"start", 0.5}, {"end", 0.5}}}}),
            "uncertainty.end must be above start (0.5); it is 0.5");
}

}  // namespace
}  // namespace codmoe::loss
