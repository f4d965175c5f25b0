// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/pvt_v2.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

class PvtV2Test : public testing::TimmTest {
 protected:
  PvtV2Test() : TimmTest("pvt_v2_vectors.safetensors") {}
};

TEST_P(PvtV2Test, GivesTimmsFeatures) { expect_timms_features(1e-5); }

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(
    Timm, PvtV2Test,
    ::testing::Values(TimmCase{"pvt_v2_b0", "eval", 2, 64, 48}, TimmCase{"pvt_v2_b0", "eval", 1, 61, 45},
                      TimmCase{"pvt_v2_b2_li", "eval", 1, 33, 47}, TimmCase{"pvt_v2_b5", "eval", 1, 33, 47},
                      TimmCase{"pvt_v2_b0", "train", 2, 64, 48}, TimmCase{"pvt_v2_b0", "train", 2, 45, 61},
                      TimmCase{"pvt_v2_b2_li", "train", 1, 61, 45}));

using PvtV2Training = PvtV2Test;

TEST_P(PvtV2Training, GivesTimmsGradients) { expect_timms_gradients_and_running_statistics(); }

INSTANTIATE_TEST_SUITE_P(Timm, PvtV2Training,
                         ::testing::Values(TimmCase{"pvt_v2_b0", "train", 2, 64, 48},
                                           TimmCase{"pvt_v2_b0", "train", 2, 45, 61},
                                           TimmCase{"pvt_v2_b2_li", "train", 1, 61, 45}));

TEST(PvtV2, IsInitialisedAsTimms) {
  at::manual_seed(3);
  const PvtV2 backbone({});
  const auto parameters = backbone.named_parameters();
  EXPECT_NEAR(parameters["stages.3.blocks.0.attn.q.weight"].std().item<double>(), 0.02, 1e-4);
  EXPECT_NEAR(parameters["patch_embed.proj.weight"].std().item<double>(), std::sqrt(2.0 / (49 * 64)), 1e-3);
  EXPECT_NEAR(parameters["stages.3.blocks.0.mlp.dwconv.weight"].std().item<double>(), std::sqrt(2.0 / 9), 1e-2);
  for (const auto& item : parameters) {
    if (item.value().dim() != 1) continue;
    const bool is_norm = item.key().find("norm") != std::string::npos;
    const double value = is_norm && item.key().ends_with(".weight") ? 1.0 : 0.0;
    EXPECT_TRUE(item.value().eq(value).all().item<bool>()) << item.key();
  }
}

}  // namespace
}  // namespace codmoe::backbone
