// A backbone against timm 1.0.31: see make_timm_vectors.py.
#pragma once

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/safetensors.h"
#include "fill.h"

namespace codmoe::backbone::testing {

/// One of make_timm_vectors.py's cases.
struct TimmCase {
  std::string model;
  std::string mode;  ///< eval or train
  int64_t batch;
  int64_t height;
  int64_t width;

  std::string key() const { return fmt::format("{}.{}.{}x{}x{}", model, mode, batch, height, width); }
};

inline void PrintTo(const TimmCase& tested, std::ostream* out) { *out << tested.key(); }

/// As make_timm_vectors.py: at most 256 values.
inline at::Tensor sample(const at::Tensor& tensor) {
  constexpr int64_t max_samples = 256;
  const auto step = std::max<int64_t>(1, (tensor.numel() + max_samples - 1) / max_samples);
  return tensor.detach().reshape(-1).slice(0, 0, std::nullopt, step);
}

/// [tensors, 2]: sum, and sum of magnitudes, of each; in the order of the names.
inline at::Tensor sums(const core::TensorMap& tensors) {
  std::vector<at::Tensor> rows;
  for (const auto& [name, tensor] : tensors) {
    rows.push_back(at::stack({tensor.to(at::kDouble).sum(), tensor.to(at::kDouble).abs().sum()}));
  }
  return at::stack(rows);
}

/// Largest difference, as a share of the largest expected magnitude.
inline double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs().max() / expected.abs().max()).item<double>();
}

/// Each sum's difference, as a share of the sum of magnitudes.
inline double relative_sum_error(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  return ((actual - expected).abs() / expected.select(1, 1).unsqueeze(1).clamp_min(1e-300)).max().item<double>();
}

/// The backbone of a case, with the formula's weights, beside the vectors of `file` in tests/backbone.
class TimmTest : public ::testing::TestWithParam<TimmCase> {
 protected:
  explicit TimmTest(std::string file) : file_(std::move(file)) {}

  void SetUp() override {
    backbone_ = make_backbone({.name = GetParam().model});
    fill_module(*backbone_);
    backbone_->train(GetParam().mode == "train");
    image_ = uniform("input", {GetParam().batch, 3, GetParam().height, GetParam().width}).to(at::kFloat);
  }

  at::Tensor expected(const std::string& what) const {
    static std::map<std::string, core::TensorMap> files;
    auto& vectors = files[file_];
    if (vectors.empty()) vectors = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/backbone/" + file_).tensors;
    return vectors.at(GetParam().key() + "." + what);
  }

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

  /// Float32, channels last, within `float_tolerance`; then float64.
  void expect_timms_features(double float_tolerance, double double_tolerance = 1e-9) {
    expect_features(backbone_->forward(image_.contiguous(at::MemoryFormat::ChannelsLast)), float_tolerance);
    backbone_->to(at::kDouble);
    expect_features(backbone_->forward(image_.to(at::kDouble)), double_tolerance);
  }

  /// In float64; the case's mode must be train.
  void expect_timms_gradients_and_running_statistics(double gradient_tolerance = 1e-8) {
    backbone_->to(at::kDouble);
    const auto features = backbone_->forward(image_.to(at::kDouble));
    auto loss = at::zeros({}, at::kDouble);
    for (std::size_t i = 0; i < features.size(); ++i) {
      const auto weights = uniform("cotangent." + std::to_string(i), features[i].sizes());
      loss = loss + (features[i] * weights.to(at::kFloat)).sum();
    }
    loss.backward();
    core::TensorMap gradients;
    for (const auto& item : backbone_->named_parameters()) gradients[item.key()] = item.value().grad();
    core::TensorMap buffers;
    for (const auto& item : backbone_->named_buffers()) buffers[item.key()] = item.value();
    EXPECT_LT(relative_sum_error(sums(gradients), expected("gradients")), gradient_tolerance);
    if (buffers.empty()) return;
    EXPECT_LT(relative_sum_error(sums(buffers), expected("buffers")), 1e-9);
  }

  std::shared_ptr<Backbone> backbone_;
  at::Tensor image_;

 private:
  std::string file_;
};

}  // namespace codmoe::backbone::testing
