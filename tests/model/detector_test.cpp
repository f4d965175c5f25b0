#include "codmoe/model/detector.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "codmoe/nn/weights.h"
#include "codmoe/ops/resize.h"

namespace codmoe::model {
namespace {

DetectorOptions tiny() {
  DetectorOptions options;
  options.backbone.name = "tiny";
  options.decoder.width = 16;
  return options;
}

TEST(Detector, FourLogitsAtTheInputsSizeForAnySize) {
  Detector model(tiny());
  model->eval();
  const at::NoGradGuard no_grad;
  for (const auto& [height, width] : {std::pair{64, 96}, {65, 97}, {33, 50}}) {
    const auto output = model->forward(at::rand({2, 3, height, width}));
    ASSERT_EQ(output.logits.size(), 4U);
    for (const auto& logits : output.logits) EXPECT_EQ(logits.sizes(), (at::IntArrayRef{2, 1, height, width}));
    ASSERT_EQ(output.routings.size(), 1U);
    EXPECT_EQ(output.routings[0].indices.sizes(), (at::IntArrayRef{2, 2}));
  }
}

TEST(Detector, NormalisesByTheBackbonesColours) {
  // The decoder applied by hand to features of a hand-normalised image gives the detector's logits.
  auto options = tiny();
  options.moe_strides = {};
  Detector model(options);
  model->eval();
  const at::NoGradGuard no_grad;
  const auto image = at::rand({1, 3, 32, 32});
  auto normalised = image.clone();
  const auto colours = model->backbone().normalization();
  for (std::size_t c = 0; c < 3; ++c) {
    normalised.select(1, static_cast<int64_t>(c)).sub_(colours.mean[c]).div_(colours.std[c]);
  }
  const auto decoder = std::dynamic_pointer_cast<DecoderImpl>(model->named_children()["decoder"]);
  const auto expected = ops::resize_bilinear(decoder->forward(model->backbone().forward(normalised))[0], 32, 32);
  EXPECT_TRUE(model->forward(image).logits[0].allclose(expected, 1e-4, 1e-5));
}

TEST(Detector, MoeLayersAreWhereTheStridesSay) {
  auto options = tiny();
  options.moe_strides = {8, 32};
  Detector model(options);
  const auto channels = model->backbone().channels();
  const auto weights = nn::state_dict(*model);
  EXPECT_EQ(weights.at("moe.0.router.gate.weight").size(1), channels[1]);
  EXPECT_EQ(weights.at("moe.1.router.gate.weight").size(1), channels[3]);
  options.moe_strides = {};
  EXPECT_TRUE(Detector(options)->forward(at::rand({2, 3, 64, 64})).routings.empty());
}

TEST(Detector, StridesAreChecked) {
  auto options = tiny();
  options.moe_strides = {16, 16};
  EXPECT_THROW(options.check(), core::BadOption);
  options.moe_strides = {12};
  EXPECT_THROW(options.check(), core::BadOption);
}

TEST(Detector, EveryParameterOfTheUsedPartsGetsAGradient) {
  auto options = tiny();
  options.moe.top_k = 6;
  Detector model(options);
  model->train();
  at::Tensor sum;
  for (const auto& logits : model->forward(at::rand({2, 3, 64, 64})).logits) {
    const auto part = logits.square().sum();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (const auto& item : model->named_parameters()) EXPECT_TRUE(item.value().grad().defined()) << item.key();
}

}  // namespace
}  // namespace codmoe::model
