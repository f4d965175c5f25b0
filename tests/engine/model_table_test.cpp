#include "codmoe/engine/model_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codmoe/nn/weights.h"
#include "small_run.h"

namespace codmoe::engine {
namespace {

std::vector<ModelPart> parts_of(model::Detector& model, int64_t size) { return describe_parts(*model, size); }

const ModelPart& part(const std::vector<ModelPart>& parts, const std::string& name) {
  return *std::ranges::find(parts, name, &ModelPart::name);
}

TEST(ModelTable, ResnetHasTheOperationsThatPyTorchCounts) {
  auto options = testing::small_options("").model;
  options.backbone.name = "resnet18";
  model::Detector model(options);
  int64_t flops = 0, parameters = 0;
  for (const auto& one : parts_of(model, 224)) {
    if (!one.name.starts_with("backbone")) continue;
    flops += one.flops;
    parameters += one.parameters;
  }
  // torch.utils.flop_counter of timm's resnet18 at 224, and its parameters, without the classifier.
  EXPECT_EQ(flops, 3627122688);
  EXPECT_EQ(parameters, 11176512);
}

TEST(ModelTable, ExpertsHaveTheOperationsOfTheirDescriptions) {
  model::Detector model(testing::small_options("").model);
  auto& layer = model->moe_layers().front();
  const auto parts = parts_of(model, 64);
  int64_t sum = 0;
  for (std::size_t e = 0; e < layer->pool().size(); ++e) {
    const auto& expert = part(parts, "  " + layer->options().experts[e]);
    EXPECT_EQ(expert.parameters, nn::count_parameters(*layer->pool()[e]));
    sum += expert.flops;
    const auto& name = layer->options().experts[e];
    const bool convolutions_alone = name == "texture" || name == "contrast" || name == "hybrid";
    if (convolutions_alone) {
      EXPECT_EQ(expert.flops, layer->pool()[e]->describe()->flops(4 * 4)) << name;
    } else {
      EXPECT_GT(expert.flops, 0) << name;
    }
  }
  const auto& whole = part(parts, "moe.0");
  const auto channels = whole.output[1];
  const auto experts = static_cast<int64_t>(layer->pool().size());
  EXPECT_EQ(whole.flops, 2 * sum / experts + 2 * channels * experts);
}

TEST(ModelTable, PartsAddUpToTheModelAndSayTheirShapes) {
  model::Detector model(testing::small_options("").model);
  const auto parts = parts_of(model, 64);
  int64_t parameters = 0;
  for (const auto& one : parts) parameters += one.name.starts_with(' ') ? 0 : one.parameters;
  EXPECT_EQ(parameters, nn::count_parameters(*model));
  const auto& coarsest = part(parts, "backbone stage 4").output;
  EXPECT_EQ(coarsest, (std::vector<int64_t>{1, model->backbone().channels()[3], 2, 2}));
  EXPECT_EQ(part(parts, "decoder").output, (std::vector<int64_t>{1, 1, 16, 16}));
  EXPECT_NE(model_table(parts, 64).find("1 x 1 x 16 x 16"), std::string::npos);
}

}  // namespace
}  // namespace codmoe::engine
