// What holds for every backbone of the registry.
#include "codmoe/backbone/backbone.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

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

/// All but the larger members of a family, which differ from the smallest in numbers alone.
std::vector<std::string> different_backbones() {
  const std::set<std::string> larger{"tf_efficientnet_lite1",
                                     "tf_efficientnet_lite2",
                                     "tf_efficientnet_lite3",
                                     "tf_efficientnet_lite4",
                                     "resnet34",
                                     "resnet50",
                                     "pvt_v2_b1",
                                     "pvt_v2_b2",
                                     "pvt_v2_b3",
                                     "pvt_v2_b4",
                                     "pvt_v2_b5",
                                     "edgenext_x_small",
                                     "edgenext_small",
                                     "edgenext_base"};
  auto names = backbone_names();
  std::erase_if(names, [&](const auto& name) { return larger.contains(name); });
  return names;
}

INSTANTIATE_TEST_SUITE_P(Registry, BackboneTest, ::testing::ValuesIn(different_backbones()),
                         [](const auto& which) { return which.param; });

int64_t count_parameters(const std::string& name) { return nn::count_parameters(*make_backbone({.name = name})); }

TEST(Registry, BackbonesHaveTimmsSizes) {  // timm 1.0.31, features_only with strides 4 to 32
  const std::map<std::string, int64_t> sizes{
      {"tf_efficientnet_lite0", 2958848},
      {"tf_efficientnet_lite1", 3723520},
      {"tf_efficientnet_lite2", 4357952},
      {"tf_efficientnet_lite3", 6422016},
      {"tf_efficientnet_lite4", 11149568},
      {"resnet18", 11176512},
      {"resnet34", 21284672},
      {"resnet50", 23508032},
      {"res2net50_26w_4s", 23650120},
      {"pvt_v2_b0", 3409760},
      {"pvt_v2_b1", 13496000},
      {"pvt_v2_b2", 24849856},
      {"pvt_v2_b3", 44725696},
      {"pvt_v2_b4", 62043072},
      {"pvt_v2_b5", 81443008},
      {"pvt_v2_b2_li", 22040512},
      {"edgenext_xx_small", 1157880},
      {"edgenext_x_small", 2143420},
      {"edgenext_small", 5281224},
      {"edgenext_base", 17925124},
      {"convnext_tiny", 27818592},
      {"swin_tiny_patch4_window7_224", 27517818},
  };
  EXPECT_EQ(backbone_names().size(), sizes.size() + 1);
  for (const auto& name : backbone_names()) {
    if (name == "tiny") continue;  // codmoe's own
    ASSERT_TRUE(sizes.contains(name)) << name << " needs its number of parameters here";
    EXPECT_EQ(count_parameters(name), sizes.at(name)) << name;
  }
}

TEST(Registry, TinyIsSmall) {
  EXPECT_GT(count_parameters("tiny"), 100'000);
  EXPECT_LT(count_parameters("tiny"), 200'000);
}

TEST(Registry, AnUnknownNameListsTheKnown) {
  const auto listing = fmt::format("must be one of {}; it is 'resnet'", fmt::join(backbone_names(), ", "));
  try {
    make_backbone({.name = "resnet"});
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    EXPECT_EQ(error.what(), "the backbone " + listing);
  }
  try {
    BackboneOptions{.name = "resnet"}.check();
    FAIL() << "it was accepted";
  } catch (const core::BadOption& error) {
    EXPECT_EQ(error.key(), "name");
    EXPECT_EQ(error.what(), listing);
  }
  EXPECT_NO_THROW(BackboneOptions{}.check());
}

}  // namespace
}  // namespace codmoe::backbone
