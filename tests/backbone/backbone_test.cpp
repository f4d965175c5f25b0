// What holds for every backbone of the registry.
#include "codmoe/backbone/backbone.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/error.h"
#include "codmoe/core/options.h"
#include "codmoe/nn/weights.h"
#include "fill.h"

namespace codmoe::backbone {
namespace {

/// Patches that don't overlap leave out the rows and columns that fill none; Swin's only on the way to stride 4.
int64_t feature_size(const std::string& name, int64_t image_size, int64_t stride) {
  if (name.starts_with("swin")) image_size = image_size / 4 * 4;
  const bool leaves_out = name.starts_with("edgenext") || name.starts_with("convnext");
  return leaves_out ? image_size / stride : (image_size + stride - 1) / stride;
}

class BackboneTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    backbone_ = make_backbone({.name = GetParam()});
  }
  std::shared_ptr<Backbone> backbone_;
};

TEST_P(BackboneTest, GivesOneFeatureAStrideAtAnySize) {
  backbone_->eval();
  const c10::NoGradGuard no_grad;
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{64, 96}, {33, 50}}) {
    const auto features = backbone_->forward(at::randn({1, 3, height, width}));
    ASSERT_EQ(features.size(), Backbone::strides.size());
    for (std::size_t i = 0; i < features.size(); ++i) {
      const auto stride = Backbone::strides[i];
      EXPECT_EQ(features[i].sizes(),
                (std::vector<int64_t>{1, backbone_->channels()[i], feature_size(GetParam(), height, stride),
                                      feature_size(GetParam(), width, stride)}));
    }
  }
}

TEST_P(BackboneTest, EveryParameterGetsAGradient) {
  testing::fill_module(*backbone_);  // a branch that begins with its last scale at 0 has no gradient yet
  backbone_->train();
  auto loss = at::zeros({});
  for (const auto& feature : backbone_->forward(at::randn({2, 3, 64, 64}))) loss = loss + feature.square().mean();
  loss.backward();
  for (const auto& item : backbone_->named_parameters()) {
    ASSERT_TRUE(item.value().grad().defined()) << item.key();
    EXPECT_GT(item.value().grad().abs().max().item<double>(), 0.0) << item.key();
  }
}

TEST_P(BackboneTest, ChannelsLastComesOutAsItWentIn) {
  backbone_->eval();
  const c10::NoGradGuard no_grad;
  const auto image = at::randn({1, 3, 64, 64});
  const auto planar = backbone_->forward(image);
  const auto interleaved = backbone_->forward(image.contiguous(at::MemoryFormat::ChannelsLast));
  for (std::size_t i = 0; i < planar.size(); ++i) {
    EXPECT_TRUE(interleaved[i].is_contiguous(at::MemoryFormat::ChannelsLast)) << "level " << i;
    EXPECT_TRUE(interleaved[i].allclose(planar[i], 1e-4, 1e-4)) << "level " << i;
  }
}

TEST_P(BackboneTest, AnImageInEvaluationDoesNotDependOnItsBatch) {
  backbone_->eval();
  const c10::NoGradGuard no_grad;
  const auto images = at::randn({3, 3, 64, 64});
  const auto together = backbone_->forward(images);
  const auto alone = backbone_->forward(images.slice(0, 1, 2));
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_TRUE(together[i].slice(0, 1, 2).allclose(alone[i], 1e-4, 1e-4)) << "level " << i;
  }
}

TEST_P(BackboneTest, SaysHowToNormaliseColours) {
  const auto [mean, std] = backbone_->normalization();
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(mean[i] > 0.3 && mean[i] < 0.7);
    EXPECT_TRUE(std[i] > 0.1 && std[i] <= 0.5);
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, BackboneTest,
                         ::testing::Values("tf_efficientnet_lite0", "resnet18", "res2net50_26w_4s", "pvt_v2_b0",
                                           "pvt_v2_b2_li", "edgenext_xx_small", "convnext_tiny",
                                           "swin_tiny_patch4_window7_224", "tiny"));

int64_t count_parameters(const std::string& name) { return nn::count_parameters(*make_backbone({.name = name})); }

TEST(Registry, ListsItsNames) {
  const std::vector<std::string> names{"tf_efficientnet_lite0",
                                       "tf_efficientnet_lite1",
                                       "tf_efficientnet_lite2",
                                       "tf_efficientnet_lite3",
                                       "tf_efficientnet_lite4",
                                       "resnet18",
                                       "resnet34",
                                       "resnet50",
                                       "res2net50_26w_4s",
                                       "pvt_v2_b0",
                                       "pvt_v2_b1",
                                       "pvt_v2_b2",
                                       "pvt_v2_b3",
                                       "pvt_v2_b4",
                                       "pvt_v2_b5",
                                       "pvt_v2_b2_li",
                                       "edgenext_xx_small",
                                       "edgenext_x_small",
                                       "edgenext_small",
                                       "edgenext_base",
                                       "convnext_tiny",
                                       "swin_tiny_patch4_window7_224",
                                       "tiny"};
  EXPECT_EQ(backbone_names(), names);
}

TEST(Registry, BackbonesHaveTimmsSizes) {  // timm 1.0.31, features_only with strides 4 to 32
  EXPECT_EQ(count_parameters("tf_efficientnet_lite0"), 2958848);
  EXPECT_EQ(count_parameters("tf_efficientnet_lite1"), 3723520);
  EXPECT_EQ(count_parameters("tf_efficientnet_lite2"), 4357952);
  EXPECT_EQ(count_parameters("tf_efficientnet_lite3"), 6422016);
  EXPECT_EQ(count_parameters("tf_efficientnet_lite4"), 11149568);
  EXPECT_EQ(count_parameters("resnet18"), 11176512);
  EXPECT_EQ(count_parameters("resnet34"), 21284672);
  EXPECT_EQ(count_parameters("resnet50"), 23508032);
  EXPECT_EQ(count_parameters("res2net50_26w_4s"), 23650120);
  EXPECT_EQ(count_parameters("pvt_v2_b0"), 3409760);
  EXPECT_EQ(count_parameters("pvt_v2_b1"), 13496000);
  EXPECT_EQ(count_parameters("pvt_v2_b2"), 24849856);
  EXPECT_EQ(count_parameters("pvt_v2_b3"), 44725696);
  EXPECT_EQ(count_parameters("pvt_v2_b4"), 62043072);
  EXPECT_EQ(count_parameters("pvt_v2_b5"), 81443008);
  EXPECT_EQ(count_parameters("pvt_v2_b2_li"), 22040512);
  EXPECT_EQ(count_parameters("edgenext_xx_small"), 1157880);
  EXPECT_EQ(count_parameters("edgenext_x_small"), 2143420);
  EXPECT_EQ(count_parameters("edgenext_small"), 5281224);
  EXPECT_EQ(count_parameters("edgenext_base"), 17925124);
  EXPECT_EQ(count_parameters("convnext_tiny"), 27818592);
  EXPECT_EQ(count_parameters("swin_tiny_patch4_window7_224"), 27517818);
}

TEST(Registry, TinyIsSmall) {
  EXPECT_GT(count_parameters("tiny"), 100'000);
  EXPECT_LT(count_parameters("tiny"), 200'000);
}

TEST(Registry, AnUnknownNameListsTheKnown) {
  const auto listing =
      "must be one of tf_efficientnet_lite0, tf_efficientnet_lite1, tf_efficientnet_lite2, "
      "tf_efficientnet_lite3, tf_efficientnet_lite4, resnet18, resnet34, resnet50, res2net50_26w_4s, pvt_v2_b0, "
      "pvt_v2_b1, pvt_v2_b2, pvt_v2_b3, pvt_v2_b4, pvt_v2_b5, pvt_v2_b2_li, edgenext_xx_small, edgenext_x_small, "
      "edgenext_small, edgenext_base, convnext_tiny, swin_tiny_patch4_window7_224, tiny; it is 'resnet'";
  try {
    make_backbone({.name = "resnet"});
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    EXPECT_EQ(std::string(error.what()), std::string("the backbone ") + listing);
  }
  try {
    BackboneOptions{.name = "resnet"}.check();
    FAIL() << "it was accepted";
  } catch (const core::BadOption& error) {
    EXPECT_EQ(error.key(), "name");
    EXPECT_STREQ(error.what(), listing);
  }
  EXPECT_NO_THROW(BackboneOptions{}.check());
}

}  // namespace
}  // namespace codmoe::backbone
