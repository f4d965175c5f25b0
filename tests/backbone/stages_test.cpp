// Stages of every family: their walk, recomputation, freezing and stochastic depth.
#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include <functional>
#include <map>

#include "codmoe/backbone/convnext.h"
#include "codmoe/backbone/edgenext.h"
#include "codmoe/backbone/efficientnet_lite.h"
#include "codmoe/backbone/pvt_v2.h"
#include "codmoe/backbone/registry.h"
#include "codmoe/backbone/resnet.h"
#include "codmoe/backbone/swin.h"
#include "codmoe/backbone/tiny.h"
#include "codmoe/core/memory_meter.h"
#include "codmoe/core/options.h"
#include "codmoe/nn/drop_path.h"
#include "fill.h"

namespace codmoe::backbone {
namespace {

const std::vector<int64_t> all_strides(Backbone::strides.begin(), Backbone::strides.end());

std::vector<nn::DropPathImpl*> drop_paths(const Backbone& backbone) {
  std::vector<nn::DropPathImpl*> found;
  for (const auto& part : backbone.modules(/*include_self=*/false)) {
    if (auto* path = part->as<nn::DropPathImpl>()) found.push_back(path);
  }
  return found;
}

/// A member of each family, smaller than those of the registry.
const std::map<std::string, std::function<std::shared_ptr<Backbone>()>> kFamilies{
    {"EfficientNetLite",
     [] { return std::make_shared<EfficientNetLite>(EfficientNetLiteOptions{.width = 0.25, .depth = 0.5}); }},
    {"ResNet",
     [] {
       return std::make_shared<ResNet>(ResNetOptions{.depths = {1, 2, 1, 1}});
     }},
    {"PvtV2",
     [] {
       return std::make_shared<PvtV2>(PvtV2Options{.channels = {8, 16, 40, 64}});
     }},
    {"EdgeNeXt",
     [] {
       return std::make_shared<EdgeNeXt>(
           EdgeNeXtOptions{.depths = {2, 2, 3, 2}, .channels = {16, 32, 48, 64}, .heads = 4});
     }},
    {"ConvNeXt",
     [] {
       return std::make_shared<ConvNeXt>(ConvNeXtOptions{.depths = {1, 2, 3, 1}, .channels = {16, 32, 48, 64}});
     }},
    {"Tiny", [] { return std::make_shared<Tiny>(); }},
    {"Swin", [] {
       return std::make_shared<Swin>(SwinOptions{.depths = {1, 2, 2, 1}, .channels = {32, 64, 96, 128}});
     }}};

std::vector<std::string> families() {
  std::vector<std::string> names;
  for (const auto& [name, make] : kFamilies) names.push_back(name);
  return names;
}

/// With the formula's weights.
std::shared_ptr<Backbone> make_small(const std::string& family, double drop_path = 0.0,
                                     const std::vector<int64_t>& checkpoint = {}) {
  auto backbone = kFamilies.at(family)();
  testing::fill_module(*backbone);
  backbone->set_drop_path(drop_path);
  backbone->set_checkpoint(checkpoint);
  return backbone;
}

at::Tensor some_images(int64_t batch = 2, int64_t height = 64, int64_t width = 72) {
  return testing::uniform("input", {batch, 3, height, width}).to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor loss_of(const std::vector<at::Tensor>& features) {
  auto loss = at::zeros({});
  for (std::size_t i = 0; i < features.size(); ++i) {
    if (!features[i].requires_grad()) continue;
    loss =
        loss + (features[i] * testing::uniform("loss" + std::to_string(i), features[i].sizes()).to(at::kFloat)).sum();
  }
  return loss;
}

core::TensorMap gradients_of(const Backbone& backbone) {
  core::TensorMap gradients;
  for (const auto& item : backbone.named_parameters()) gradients[item.key()] = item.value().grad();
  return gradients;
}

class StagesTest : public ::testing::TestWithParam<std::string> {
 protected:
  static bool has_drop_path() { return GetParam() != "Tiny"; }
};

TEST_P(StagesTest, EveryParameterIsInOneStage) {
  const auto backbone = make_small(GetParam());
  std::map<const at::TensorImpl*, int> stages_of;
  for (std::size_t i = 0; i < Backbone::strides.size(); ++i) {
    EXPECT_FALSE(backbone->stage_modules(i).empty());
    for (const auto& module : backbone->stage_modules(i)) {
      for (const auto& parameter : module->parameters()) stages_of[parameter.unsafeGetTensorImpl()] += 1;
    }
  }
  for (const auto& item : backbone->named_parameters()) {
    EXPECT_EQ(stages_of[item.value().unsafeGetTensorImpl()], 1) << item.key();
  }
}

TEST_P(StagesTest, StageAfterStageGivesTheFeatures) {
  const auto backbone = make_small(GetParam());
  backbone->eval();
  const c10::NoGradGuard no_grad;
  auto x = some_images();
  const auto features = backbone->forward(x);
  for (std::size_t i = 0; i < features.size(); ++i) {
    x = backbone->stage(i, x);
    EXPECT_TRUE(x.equal(features[i])) << "level " << i;
  }
}

TEST_P(StagesTest, RecomputationChangesNoBit) {
  const double drop_path = has_drop_path() ? 0.5 : 0.0;
  const auto plain = make_small(GetParam(), drop_path);
  const auto checkpointed = make_small(GetParam(), drop_path, all_strides);
  std::vector<std::vector<at::Tensor>> features;
  std::vector<at::Tensor> drawn_after;
  for (const auto& backbone : {plain, checkpointed}) {
    at::manual_seed(2);
    features.push_back(backbone->forward(some_images()));
    loss_of(features.back()).backward();
    drawn_after.push_back(at::rand({3}));
  }
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(features[0][i].equal(features[1][i])) << "level " << i;
  EXPECT_TRUE(drawn_after[0].equal(drawn_after[1]));
  const auto expected = gradients_of(*plain), gradients = gradients_of(*checkpointed);
  for (const auto& [name, gradient] : expected) {
    ASSERT_TRUE(gradient.defined() && gradients.at(name).defined()) << name;
    EXPECT_TRUE(gradients.at(name).equal(gradient)) << name;
  }
  const auto statistics = checkpointed->named_buffers();
  for (const auto& item : plain->named_buffers()) EXPECT_TRUE(statistics[item.key()].equal(item.value())) << item.key();
}

TEST_P(StagesTest, RecomputationKeepsTheFeaturesAlone) {
  const auto images = some_images(2, 128, 128);
  int64_t kept = 0, kept_by_plain = 0, feature_bytes = 0, peak = 0, peak_of_plain = 0;
  for (const bool checkpointed : {false, true}) {
    const auto backbone = make_small(GetParam(), 0.0, checkpointed ? all_strides : std::vector<int64_t>());
    for (auto& parameter : backbone->parameters()) parameter.mutable_grad() = at::zeros_like(parameter).detach();
    const core::MemoryMeter meter;
    const auto features = backbone->forward(images);
    (checkpointed ? kept : kept_by_plain) = meter.live();
    loss_of(features).backward();
    (checkpointed ? peak : peak_of_plain) = meter.peak();
    feature_bytes = 0;
    for (const auto& feature : features) feature_bytes += static_cast<int64_t>(feature.nbytes());
  }
  RecordProperty("kept", std::to_string(kept));
  RecordProperty("kept_by_plain", std::to_string(kept_by_plain));
  RecordProperty("peak", std::to_string(peak));
  RecordProperty("peak_of_plain", std::to_string(peak_of_plain));
  EXPECT_LE(kept, feature_bytes + 1024);
  EXPECT_GE(kept_by_plain, 4 * kept);
  EXPECT_LT(peak, peak_of_plain);
}

TEST_P(StagesTest, FrozenStagesStandStill) {
  const auto backbone = make_small(GetParam(), has_drop_path() ? 0.1 : 0.0);
  for (const std::size_t frozen : {2, 4, 1, 0}) {
    backbone->freeze({.stages = frozen});
    backbone->eval();
    backbone->train();
    backbone->zero_grad();
    core::TensorMap before;
    for (const auto& item : backbone->named_buffers()) before[item.key()] = item.value().clone();
    const auto features = backbone->forward(some_images());
    if (frozen < 4) loss_of(features).backward();
    for (std::size_t i = 0; i < features.size(); ++i) {
      EXPECT_EQ(features[i].requires_grad(), i >= frozen) << "level " << i << ", frozen " << frozen;
      for (const auto& module : backbone->stage_modules(i)) {
        for (const auto& part : module->modules()) EXPECT_EQ(part->is_training(), i >= frozen) << part->name();
        for (const auto& item : module->named_parameters()) {
          EXPECT_EQ(item.value().grad().defined(), i >= frozen) << item.key() << ", frozen " << frozen;
        }
        for (const auto& part : module->modules()) {
          if (const auto* norm = part->as<torch::nn::BatchNorm2dImpl>(); norm && i >= frozen) {
            EXPECT_GT(norm->num_batches_tracked.item<int64_t>(), 0);
          }
        }
      }
    }
    if (frozen < 4) continue;
    for (const auto& item : backbone->named_buffers()) EXPECT_TRUE(item.value().equal(before.at(item.key())));
  }
}

TEST_P(StagesTest, StochasticDepthIsOfTrainingAlone) {
  if (!has_drop_path()) return;
  const auto plain = make_small(GetParam());
  const auto deep = make_small(GetParam(), 0.9);
  const c10::NoGradGuard no_grad;
  const auto random = [] { return at::globalContext().defaultGenerator(c10::kCPU).get_state(); };
  const auto before = random();
  const auto expected = plain->forward(some_images());
  EXPECT_TRUE(random().equal(before));
  EXPECT_FALSE(deep->forward(some_images()).back().equal(expected.back()));
  plain->eval();
  deep->eval();
  testing::fill_module(*plain);  // running statistics moved apart
  testing::fill_module(*deep);
  EXPECT_TRUE(deep->forward(some_images()).back().equal(plain->forward(some_images()).back()));
}

INSTANTIATE_TEST_SUITE_P(Families, StagesTest, ::testing::ValuesIn(families()),
                         [](const auto& family) { return family.param; });

/// timm 1.0.31, create_model(name, drop_path_rate=0.2): blocks, and the rates of the second and the last.
TEST(StochasticDepth, HasTimmsRates) {
  struct Expected {
    const char* name;
    std::size_t blocks;
    double second, last;
  };
  for (const auto& [name, blocks, second, last] : {Expected{"tf_efficientnet_lite0", 16, 0.0125, 0.1875},
                                                   {"tf_efficientnet_lite2", 21, 0.009524, 0.190476},
                                                   {"resnet18", 8, 0.028571, 0.2},
                                                   {"pvt_v2_b0", 8, 0.028571, 0.2},
                                                   {"edgenext_xx_small", 12, 0.018182, 0.2},
                                                   {"convnext_tiny", 18, 0.011765, 0.2}}) {
    const auto backbone = make_backbone({.name = name, .drop_path = 0.2});
    const auto paths = drop_paths(*backbone);
    ASSERT_EQ(paths.size(), blocks) << name;
    EXPECT_EQ(paths.front()->rate(), 0.0) << name;
    EXPECT_NEAR(paths[1]->rate(), second, 1e-6) << name;
    EXPECT_NEAR(paths.back()->rate(), last, 1e-6) << name;
  }
}

std::string message_of(const BackboneOptions& options) {
  try {
    make_backbone(options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "it was accepted";
}

TEST(BackboneOptions, AreRefusedWhereTheyMeanNothing) {
  EXPECT_EQ(message_of({.name = "tiny", .drop_path = 0.1}),
            "backbone.drop_path must be 0 for tiny, which has no stochastic depth; it is 0.1");
  EXPECT_EQ(message_of({.name = "pvt_v2_b0", .frozen_norm = true}),
            "backbone.frozen_norm must be false for pvt_v2_b0, which has no batch norm");
  EXPECT_THROW((BackboneOptions{.checkpoint = {4, 4}}.check()), core::BadOption);
}

TEST(Freezing, OfBatchNormsAlone) {
  const auto backbone = make_small("EfficientNetLite");
  backbone->freeze({.batch_norms = true});
  backbone->train();
  core::TensorMap before;
  for (const auto& item : backbone->named_buffers()) before[item.key()] = item.value().clone();
  loss_of(backbone->forward(some_images())).backward();
  for (const auto& item : backbone->named_buffers()) EXPECT_TRUE(item.value().equal(before.at(item.key())));
  for (const auto& item : backbone->named_parameters()) {
    EXPECT_EQ(item.value().grad().defined(), item.value().dim() == 4) << item.key();
  }
}

}  // namespace
}  // namespace codmoe::backbone
