// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/resnet.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

class ResNetTest : public testing::TimmTest {
 protected:
  ResNetTest() : TimmTest("resnet_vectors.safetensors") {}
};

TEST_P(ResNetTest, GivesTimmsFeatures) {
  // In float32 timm itself is off by up to 1e-6 here, and by 4e-4 in training mode, where the last statistics come from
  // eight values a channel.
  expect_timms_features(GetParam().mode == "train" ? 1e-3 : 1e-5);
}

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(
    Timm, ResNetTest,
    ::testing::Values(TimmCase{"resnet18", "eval", 2, 64, 48}, TimmCase{"resnet34", "eval", 1, 33, 47},
                      TimmCase{"resnet50", "eval", 1, 33, 47}, TimmCase{"res2net50_26w_4s", "eval", 1, 33, 47},
                      TimmCase{"resnet18", "train", 2, 61, 45}, TimmCase{"resnet50", "train", 2, 64, 48},
                      TimmCase{"res2net50_26w_4s", "train", 2, 45, 61}));

using ResNetTraining = ResNetTest;

TEST_P(ResNetTraining, GivesTimmsGradientsAndRunningStatistics) { expect_timms_gradients_and_running_statistics(); }

INSTANTIATE_TEST_SUITE_P(Timm, ResNetTraining,
                         ::testing::Values(TimmCase{"resnet18", "train", 2, 61, 45},
                                           TimmCase{"resnet50", "train", 2, 64, 48},
                                           TimmCase{"res2net50_26w_4s", "train", 2, 45, 61}));

TEST(ResNet, IgnoresTheClassifierOfTimmsFiles) {
  const auto backbone = make_backbone({.name = "resnet18"});
  auto weights = nn::state_dict(*backbone);
  weights["fc.weight"] = at::zeros({10, 512});
  weights["fc.bias"] = at::zeros({10});
  const auto report = nn::load_state(*backbone, weights, {.ignored_prefixes = backbone->head_prefixes()});
  EXPECT_EQ(report.ignored, (std::vector<std::string>{"fc.bias", "fc.weight"}));
}

TEST(ResNet, BlocksBeginAsTheirShortcuts) {
  at::manual_seed(3);
  for (const auto* name : {"resnet18", "res2net50_26w_4s"}) {
    const std::string last = std::string(name) == "resnet18" ? "bn2.weight" : "bn3.weight";
    const auto backbone = make_backbone({.name = name});
    for (const auto& item : backbone->named_parameters()) {
      const auto& key = item.key();
      if (item.value().dim() != 1) continue;
      const double value = key.ends_with(".bias") || key.ends_with(last) ? 0.0 : 1.0;
      EXPECT_TRUE(item.value().eq(value).all().item<bool>()) << name << " " << key;
    }
  }
}

TEST(ResNet, IsInitialisedSoThatActivationsKeepTheirScale) {
  at::manual_seed(3);
  const ResNet backbone({});
  const auto& parameters = backbone.named_parameters();
  EXPECT_NEAR(parameters["conv1.weight"].std().item<double>(), std::sqrt(2.0 / (64 * 49)), 1e-3);
  EXPECT_NEAR(parameters["layer4.0.conv1.weight"].std().item<double>(), std::sqrt(2.0 / (512 * 9)), 1e-4);
  EXPECT_NEAR(parameters["layer4.0.downsample.0.weight"].std().item<double>(), std::sqrt(2.0 / 512), 1e-3);
}

}  // namespace
}  // namespace codmoe::backbone
