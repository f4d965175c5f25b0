// Against timm 1.0.31: see make_timm_vectors.py.
#include "codmoe/backbone/efficientnet_lite.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/safetensors.h"
#include "fill.h"

namespace codmoe::backbone {
namespace {

constexpr int64_t max_samples = 256;

struct Case {
  std::string model;
  std::string mode;
  int64_t batch;
  int64_t height;
  int64_t width;

  std::string key() const { return fmt::format("{}.{}.{}x{}x{}", model, mode, batch, height, width); }
};

void PrintTo(const Case& tested, std::ostream* out) { *out << tested.key(); }

const core::TensorMap& vectors() {
  static const auto file = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/backbone/timm_vectors.safetensors");
  return file.tensors;
}

/// As make_timm_vectors.py: at most 256 values.
at::Tensor sample(const at::Tensor& tensor) {
  const auto step = std::max<int64_t>(1, (tensor.numel() + max_samples - 1) / max_samples);
  return tensor.detach().reshape(-1).slice(0, 0, std::nullopt, step);
}

/// [tensors, 2]: sum, and sum of magnitudes, of each; in the order of the names.
at::Tensor sums(const core::TensorMap& tensors) {
  std::vector<at::Tensor> rows;
  for (const auto& [name, tensor] : tensors) {
    rows.push_back(at::stack({tensor.to(at::kDouble).sum(), tensor.to(at::kDouble).abs().sum()}));
  }
  return at::stack(rows);
}

/// Largest difference, as a share of the largest expected magnitude.
double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

/// Each sum's difference, as a share of the sum of magnitudes.
double relative_sum_error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs() / expected.select(1, 1).unsqueeze(1).clamp_min(1e-300)).max().item<double>();
}

class EfficientNetLiteTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    backbone_ = make_backbone({.name = GetParam().model});
    testing::fill_module(*backbone_);
    backbone_->train(GetParam().mode == "train");
    image_ = testing::uniform("input", {GetParam().batch, 3, GetParam().height, GetParam().width}).to(at::kFloat);
  }

  static at::Tensor expected(const std::string& what) { return vectors().at(GetParam().key() + "." + what); }

  void expect_features(const std::vector<at::Tensor>& features, double tolerance) const {
    ASSERT_EQ(features.size(), 4U);
    core::TensorMap named;
    for (std::size_t i = 0; i < features.size(); ++i) {
      const auto level = std::to_string(i);
      named[level] = features[i].detach();
      ASSERT_TRUE(at::tensor(features[i].sizes(), at::kLong).equal(expected("shapes." + level))) << features[i].sizes();
      EXPECT_EQ(features[i].size(1), backbone_->channels()[i]);
      EXPECT_LT(relative_error(sample(features[i]), expected("features." + level)), tolerance) << "level " << i;
    }
    EXPECT_LT(relative_sum_error(sums(named), expected("sums")), tolerance);
  }

  std::shared_ptr<Backbone> backbone_;
  at::Tensor image_;
};

TEST_P(EfficientNetLiteTest, GivesTimmsFeatures) {
  // In float32 timm itself is off by up to 2e-5 here, and by 1e-4 in training mode, where the last statistics come from
  // eight values a channel.
  const double float_tolerance = GetParam().mode == "train" ? 5e-4 : 1e-4;
  expect_features(backbone_->forward(image_.contiguous(at::MemoryFormat::ChannelsLast)), float_tolerance);
  backbone_->to(at::kDouble);
  expect_features(backbone_->forward(image_.to(at::kDouble)), 1e-9);
}

// The same list as in make_timm_vectors.py.
INSTANTIATE_TEST_SUITE_P(Timm, EfficientNetLiteTest,
                         ::testing::Values(Case{"tf_efficientnet_lite0", "eval", 2, 64, 48},
                                           Case{"tf_efficientnet_lite0", "eval", 1, 61, 45},
                                           Case{"tf_efficientnet_lite1", "eval", 1, 33, 47},
                                           Case{"tf_efficientnet_lite2", "eval", 1, 33, 47},
                                           Case{"tf_efficientnet_lite3", "eval", 1, 33, 47},
                                           Case{"tf_efficientnet_lite4", "eval", 1, 33, 47},
                                           Case{"tf_efficientnet_lite0", "train", 2, 64, 48},
                                           Case{"tf_efficientnet_lite0", "train", 2, 45, 61}));

using EfficientNetLiteTraining = EfficientNetLiteTest;

TEST_P(EfficientNetLiteTraining, GivesTimmsGradientsAndRunningStatistics) {
  backbone_->to(at::kDouble);
  const auto features = backbone_->forward(image_.to(at::kDouble));
  auto loss = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < features.size(); ++i) {
    const auto weights = testing::uniform("cotangent." + std::to_string(i), features[i].sizes());
    loss = loss + (features[i] * weights.to(at::kFloat)).sum();
  }
  loss.backward();
  core::TensorMap gradients;
  for (const auto& item : backbone_->named_parameters()) gradients[item.key()] = item.value().grad();
  core::TensorMap buffers;
  for (const auto& item : backbone_->named_buffers()) buffers[item.key()] = item.value();
  EXPECT_LT(relative_sum_error(sums(gradients), expected("gradients")), 1e-8);
  EXPECT_LT(relative_sum_error(sums(buffers), expected("buffers")), 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Timm, EfficientNetLiteTraining,
                         ::testing::Values(Case{"tf_efficientnet_lite0", "train", 2, 64, 48},
                                           Case{"tf_efficientnet_lite0", "train", 2, 45, 61}));

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
