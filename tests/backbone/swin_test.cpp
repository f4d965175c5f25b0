// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/swin.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "timm_vectors.h"

namespace codmoe::backbone {
namespace {

using testing::TimmCase;

constexpr auto swin_name = "swin_tiny_patch4_window7_224";

class SwinTest : public testing::TimmTest {
 protected:
  SwinTest() : TimmTest("swin_vectors.safetensors") {}
};

TEST_P(SwinTest, GivesTimmsFeatures) { expect_timms_features(1e-5); }

// The same list as in make_timm_vectors.py. At stride 32 the maps are smaller than a window, but for the side of 234
// pixels, where they are larger: shifted, and padded.
INSTANTIATE_TEST_SUITE_P(Timm, SwinTest,
                         ::testing::Values(TimmCase{swin_name, "eval", 1, 234, 77},
                                           TimmCase{swin_name, "train", 2, 77, 45},
                                           TimmCase{swin_name, "train", 1, 45, 234}));

using SwinTraining = SwinTest;

TEST_P(SwinTraining, GivesTimmsGradients) { expect_timms_gradients_and_running_statistics(); }

INSTANTIATE_TEST_SUITE_P(Timm, SwinTraining,
                         ::testing::Values(TimmCase{swin_name, "train", 2, 77, 45},
                                           TimmCase{swin_name, "train", 1, 45, 234}));

TEST(Swin, IsInitialisedAsTimms) {
  at::manual_seed(3);
  const Swin backbone({.depths = {1, 1, 1, 1}});
  for (const auto& item : backbone.named_parameters()) {
    const auto& value = item.value();
    if (item.key().starts_with("patch_embed.proj.")) {  // as every convolution of PyTorch: uniform, up to 1/sqrt(48)
      EXPECT_NEAR(value.abs().max().item<double>(), 1 / std::sqrt(48.0), 0.01) << item.key();
    } else if (value.dim() > 1) {
      EXPECT_NEAR(value.std().item<double>(), 0.02, 2e-3) << item.key();
    } else {
      EXPECT_TRUE(value.eq(item.key().ends_with(".bias") ? 0.0 : 1.0).all().item<bool>()) << item.key();
    }
  }
}

TEST(Swin, StagesStayChannelsLast) {
  Swin backbone({.depths = {1, 2, 1, 1}});
  const c10::NoGradGuard no_grad;
  auto x_bchw = at::randn({2, 3, 72, 40}).contiguous(at::MemoryFormat::ChannelsLast);
  for (std::size_t i = 0; i < 4; ++i) {
    x_bchw = backbone.stage(i, x_bchw);
    EXPECT_EQ(x_bchw.size(1), backbone.channels()[i]);
    EXPECT_TRUE(x_bchw.is_contiguous(at::MemoryFormat::ChannelsLast)) << "stage " << i;
  }
  EXPECT_ANY_THROW(backbone.stage(4, x_bchw));
}

TEST(Swin, TablesOfOlderFilesAreIgnored) {
  Swin backbone({.depths = {1, 2, 1, 1}});
  core::TensorMap weights;
  for (const auto& [key, tensor] : nn::state_dict(backbone)) weights[key] = tensor.clone();
  const std::vector<std::string> of_no_use{"head.fc.weight", "layers.1.blocks.1.attn.relative_position_index",
                                           "layers.1.blocks.1.attn_mask", "norm.weight"};
  for (const auto& key : of_no_use) weights[key] = at::zeros({2});
  const auto report = nn::load_state(backbone, weights, {.ignored_prefixes = backbone.head_prefixes()});
  EXPECT_EQ(report.ignored, of_no_use);
  weights["layers.1.blocks.1.attn.bias"] = at::zeros({2});
  EXPECT_ANY_THROW(nn::load_state(backbone, weights, {.ignored_prefixes = backbone.head_prefixes()}));
}

}  // namespace
}  // namespace codmoe::backbone
