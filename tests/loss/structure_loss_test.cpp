// Against an independent Python implementation: see make_loss_vectors.py.
#include "codmoe/loss/structure_loss.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"
#include "support/tensors.h"

namespace codmoe::loss {
namespace {

TEST(StructureLoss, AgreesWithPlainFormulas) {
  const auto file = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/loss/data/structure_loss.safetensors").tensors;
  const std::pair<const char*, StructureLossOptions> cases[] = {
      {"fixed", {}},
      {"legacy", {.bce = BceWeighting::legacy}},
      {"narrow", {.bce = BceWeighting::fixed, .window = 5, .weight = 3.0}}};
  for (const auto& [name, options] : cases) {
    SCOPED_TRACE(name);
    const auto logits = file.at("logits").to(at::kDouble).requires_grad_();
    const auto value = structure_loss(logits, file.at("mask").to(at::kDouble), options);
    value.backward();
    const auto expected = test::with_prefix(file, std::string(name) + ".");
    EXPECT_TRUE(test::is_near(value, expected.at("value"), 1e-9));
    EXPECT_TRUE(test::is_near(logits.grad(), expected.at("grad"), 1e-9));
  }
}

TEST(StructureLoss, IsZeroForACertainRightAnswer) {
  const auto mask = at::zeros({2, 1, 16, 16});
  mask.slice(2, 4, 9).slice(3, 3, 12).fill_(1);
  EXPECT_LT(structure_loss((mask * 2 - 1) * 40, mask, {}).item<double>(), 1e-6);
  EXPECT_GT(structure_loss((1 - mask * 2) * 40, mask, {}).item<double>(), 10.0);
}

TEST(StructureLoss, IsFloat32ForBfloat16AndFiniteForExtremeLogits) {
  const auto mask = at::ones({1, 1, 8, 8});
  auto logits = at::full({1, 1, 8, 8}, -3000.0, at::kBFloat16).requires_grad_();
  const auto value = structure_loss(logits, mask, {});
  value.backward();
  EXPECT_EQ(value.scalar_type(), at::kFloat);
  EXPECT_TRUE(value.isfinite().item<bool>());
  EXPECT_TRUE(logits.grad().isfinite().all().item<bool>());
}

TEST(StructureLoss, RefusesOtherShapes) {
  EXPECT_THROW(structure_loss(at::zeros({2, 1, 8, 8}), at::zeros({2, 1, 8, 4}), {}), c10::Error);
  EXPECT_THROW(structure_loss(at::zeros({8, 8}), at::zeros({8, 8}), {}), c10::Error);
}

TEST(StructureLossOptions, RefusesEvenWindows) {
  StructureLossOptions options;
  try {
    core::read_options(core::Json{{"window", 30}}, {}, options);
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    EXPECT_STREQ(error.what(), "window must be odd; it is 30");
  }
}

}  // namespace
}  // namespace codmoe::loss
