// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/efficientnet_lite.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

class EfficientNetLiteTest : public testing::TimmTest {
 protected:
  EfficientNetLiteTest() : TimmTest("timm_vectors.safetensors") {}
};

TEST_P(EfficientNetLiteTest, GivesTimmsFeatures) {
  // In float32 timm itself is off by up to 2e-5 here, and by 1e-4 in training mode, where the last statistics come from
  // eight values a channel.
  expect_timms_features(GetParam().mode == "train" ? 5e-4 : 1e-4);
}

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(Timm, EfficientNetLiteTest,
                         ::testing::Values(TimmCase{"tf_efficientnet_lite0", "eval", 2, 64, 48},
                                           TimmCase{"tf_efficientnet_lite0", "eval", 1, 61, 45},
                                           TimmCase{"tf_efficientnet_lite1", "eval", 1, 33, 47},
                                           TimmCase{"tf_efficientnet_lite2", "eval", 1, 33, 47},
                                           TimmCase{"tf_efficientnet_lite3", "eval", 1, 33, 47},
                                           TimmCase{"tf_efficientnet_lite4", "eval", 1, 33, 47},
                                           TimmCase{"tf_efficientnet_lite0", "train", 2, 64, 48},
                                           TimmCase{"tf_efficientnet_lite0", "train", 2, 45, 61}));

using EfficientNetLiteTraining = EfficientNetLiteTest;

TEST_P(EfficientNetLiteTraining, GivesTimmsGradientsAndRunningStatistics) {
  expect_timms_gradients_and_running_statistics();
}

INSTANTIATE_TEST_SUITE_P(Timm, EfficientNetLiteTraining,
                         ::testing::Values(TimmCase{"tf_efficientnet_lite0", "train", 2, 64, 48},
                                           TimmCase{"tf_efficientnet_lite0", "train", 2, 45, 61}));

TEST(EfficientNetLite, IsInitialisedSoThatActivationsKeepTheirScale) {
  at::manual_seed(3);
  EfficientNetLite backbone({});
  const auto& parameters = backbone.named_parameters();
  EXPECT_NEAR(parameters["blocks.6.0.conv_pw.weight"].std().item<double>(), std::sqrt(2.0 / 1152), 1e-3);
  EXPECT_NEAR(parameters["blocks.4.2.conv_dw.weight"].std().item<double>(), std::sqrt(2.0 / 25), 1e-2);
  EXPECT_TRUE(parameters["blocks.4.2.bn2.weight"].eq(1).all().item<bool>());
  EXPECT_TRUE(parameters["blocks.4.2.bn2.bias"].eq(0).all().item<bool>());
}

}  // namespace
}  // namespace codmoe::backbone
