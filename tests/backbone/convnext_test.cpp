// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/convnext.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

class ConvNeXtTest : public testing::TimmTest {
 protected:
  ConvNeXtTest() : TimmTest("convnext_vectors.safetensors") {}
};

TEST_P(ConvNeXtTest, GivesTimmsFeatures) { expect_timms_features(1e-5); }

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(Timm, ConvNeXtTest,
                         ::testing::Values(TimmCase{"convnext_tiny", "eval", 2, 64, 96},
                                           TimmCase{"convnext_tiny", "eval", 1, 77, 45},
                                           TimmCase{"convnext_tiny", "train", 2, 77, 45}));

using ConvNeXtTraining = ConvNeXtTest;

TEST_P(ConvNeXtTraining, GivesTimmsGradients) { expect_timms_gradients_and_running_statistics(); }

INSTANTIATE_TEST_SUITE_P(Timm, ConvNeXtTraining, ::testing::Values(TimmCase{"convnext_tiny", "train", 2, 77, 45}));

TEST(ConvNeXt, IsInitialisedAsTimms) {
  at::manual_seed(3);
  const ConvNeXt backbone({.depths = {1, 1, 1, 1}});
  for (const auto& item : backbone.named_parameters()) {
    const auto& value = item.value();
    if (value.dim() > 1) {
      EXPECT_NEAR(value.std().item<double>(), 0.02, 1e-3) << item.key();
      continue;
    }
    const bool is_scale = item.key().ends_with(".gamma");
    const bool is_bias = item.key().ends_with(".bias");
    EXPECT_TRUE(value.eq(is_scale ? 1e-6 : is_bias ? 0.0 : 1.0).all().item<bool>()) << item.key();
  }
}

}  // namespace
}  // namespace codmoe::backbone
