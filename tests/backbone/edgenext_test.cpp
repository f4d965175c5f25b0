// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/edgenext.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

/// Positions are encoded in float32 even where all else is float64, and sines differ by machine in their last bit.
constexpr double double_tolerance = 1e-6;

class EdgeNeXtTest : public testing::TimmTest {
 protected:
  EdgeNeXtTest() : TimmTest("edgenext_vectors.safetensors") {}
};

TEST_P(EdgeNeXtTest, GivesTimmsFeatures) { expect_timms_features(1e-5, double_tolerance); }

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(Timm, EdgeNeXtTest,
                         ::testing::Values(TimmCase{"edgenext_xx_small", "eval", 2, 64, 96},
                                           TimmCase{"edgenext_xx_small", "eval", 1, 77, 45},
                                           TimmCase{"edgenext_x_small", "eval", 1, 33, 47},
                                           TimmCase{"edgenext_small", "eval", 1, 33, 47},
                                           TimmCase{"edgenext_base", "eval", 1, 33, 47},
                                           TimmCase{"edgenext_xx_small", "train", 2, 64, 96},
                                           TimmCase{"edgenext_xx_small", "train", 2, 77, 45}));

using EdgeNeXtTraining = EdgeNeXtTest;

TEST_P(EdgeNeXtTraining, GivesTimmsGradients) { expect_timms_gradients_and_running_statistics(double_tolerance); }

INSTANTIATE_TEST_SUITE_P(Timm, EdgeNeXtTraining,
                         ::testing::Values(TimmCase{"edgenext_xx_small", "train", 2, 64, 96},
                                           TimmCase{"edgenext_xx_small", "train", 2, 77, 45}));

TEST(EdgeNeXt, IsInitialisedAsTimms) {
  at::manual_seed(3);
  const EdgeNeXt backbone({});
  for (const auto& item : backbone.named_parameters()) {
    const auto& value = item.value();
    if (value.dim() == 2 || value.dim() == 4) {
      EXPECT_LE(value.abs().max().item<double>(), 0.04 * (1.0 + 1e-6)) << item.key();
      continue;
    }
    const bool is_scale = item.key().find("gamma") != std::string::npos;
    const bool is_bias = item.key().ends_with(".bias");
    EXPECT_TRUE(value.eq(is_scale ? 1e-6 : is_bias ? 0.0 : 1.0).all().item<bool>()) << item.key();
  }
  // A normal distribution cut off at two deviations has 0.8796 of its deviation left.
  const auto parameters = backbone.named_parameters();
  EXPECT_NEAR(parameters["stages.3.blocks.2.xca.qkv.weight"].std().item<double>(), 0.02 * 0.8796, 1e-4);
  EXPECT_NEAR(parameters["stages.3.downsample.1.weight"].std().item<double>(), 0.02 * 0.8796, 1e-4);
}

TEST(EdgeNeXt, RefusesHeadsThatDoNotDivideTheChannels) {
  EXPECT_THROW(EdgeNeXt({.channels = {24, 48, 90, 168}, .heads = 4}), c10::Error);
}

}  // namespace
}  // namespace codmoe::backbone
