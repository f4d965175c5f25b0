// configs/models: one file a backbone, each of which builds a detector that runs.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "codmoe/backbone/registry.h"
#include "codmoe/config/yaml.h"
#include "codmoe/engine/options.h"

namespace codmoe::config {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(CODMOE_SOURCE_DIR) / "configs" / "models";

TEST(Models, EveryFileIsOfABackbone) {
  const auto names = backbone::backbone_names();
  for (const auto& entry : fs::directory_iterator(kModels)) {
    EXPECT_EQ(entry.path().extension(), ".yaml") << entry.path();
    EXPECT_TRUE(std::ranges::count(names, entry.path().stem().string()) == 1) << entry.path();
  }
}

class ModelOfBackbone : public ::testing::TestWithParam<std::string> {};

TEST_P(ModelOfBackbone, HasAFileWhoseDetectorRuns) {
  const auto file = kModels / (GetParam() + ".yaml");
  ASSERT_TRUE(fs::exists(file)) << "the backbone " << GetParam() << " needs a file " << file;
  const auto options = load<engine::TrainOptions>(file, {"data.train.dir=."});
  EXPECT_EQ(options.model.backbone.name, GetParam());
  ASSERT_FALSE(options.model.moe_strides.empty());
  const at::NoGradGuard no_grad;
  model::Detector detector(options.model);
  detector->eval();
  const auto output = detector->forward(at::rand({1, 3, 64, 64}));
  ASSERT_EQ(output.logits.size(), 4U);
  for (const auto& logits : output.logits) {
    EXPECT_EQ(logits.sizes(), (at::IntArrayRef{1, 1, 64, 64}));
    EXPECT_TRUE(logits.isfinite().all().item<bool>());
  }
  EXPECT_EQ(output.routings.size(), options.model.moe_strides.size());
}

INSTANTIATE_TEST_SUITE_P(Registry, ModelOfBackbone, ::testing::ValuesIn(backbone::backbone_names()),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace codmoe::config
