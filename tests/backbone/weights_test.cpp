#include "codmoe/backbone/weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <tuple>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/error.h"
#include "fill.h"
#include "support/temporary_folder.h"

namespace codmoe::backbone {
namespace {

class BackboneWeightsTest : public ::testing::Test {
 protected:
  /// Weights of lite0 from the formula, with the classifier that timm's files have.
  static core::TensorMap make_weights() {
    const auto backbone = make_backbone({.name = "tf_efficientnet_lite0"});
    testing::fill_module(*backbone);
    core::TensorMap weights;
    for (const auto& [key, tensor] : nn::state_dict(*backbone)) weights[key] = tensor.clone();
    weights["conv_head.weight"] = at::zeros({8, 320, 1, 1});
    weights["bn2.running_mean"] = at::zeros({8});
    weights["classifier.bias"] = at::zeros({5});
    return weights;
  }

  std::filesystem::path save(const core::TensorMap& weights) const {
    core::save_safetensors(folder_ / "in.safetensors", weights);
    return folder_ / "in.safetensors";
  }

  template <class Action>
  static std::string refusal(const Action& action) {
    try {
      action();
    } catch (const core::Error& error) {
      return error.what();
    }
    return "it was accepted";
  }

  test::TemporaryFolder folder_;
};

TEST_F(BackboneWeightsTest, AreLoadedWithTheBackbone) {
  const auto weights = make_weights();
  const auto backbone = make_backbone({.name = "tf_efficientnet_lite0", .weights = save(weights)});
  for (const auto& [key, tensor] : nn::state_dict(*backbone)) EXPECT_TRUE(tensor.equal(weights.at(key))) << key;
}

TEST_F(BackboneWeightsTest, AreReportedAndTheClassifierIgnored) {
  const auto backbone = make_backbone({.name = "tf_efficientnet_lite0"});
  const auto report = load_weights(*backbone, save(make_weights()));
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.ignored, (std::vector<std::string>{"bn2.running_mean", "classifier.bias", "conv_head.weight"}));
}

TEST_F(BackboneWeightsTest, ThatDoNotFitAreRefusedByKeyAndFile) {
  auto weights = make_weights();
  weights.erase("conv_stem.weight");
  weights["blocks.2.0.bn2.bias"] = at::zeros({7});
  weights["bn3.weight"] = at::zeros({7});
  const auto path = save(weights);
  const auto message = refusal([&] { make_backbone({.name = "tf_efficientnet_lite0", .weights = path}); });
  EXPECT_EQ(message.find(path.string()), 0) << message;
  for (const auto* part : {"1 missing: conv_stem.weight", "1 unexpected: bn3.weight",
                           "1 mis-shaped: blocks.2.0.bn2.bias ([7], the model has [144])"}) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  }
}

TEST_F(BackboneWeightsTest, ImportKeepsWhatTheBackboneUses) {
  auto weights = make_weights();
  const auto input = save(weights);
  const auto output = folder_ / "out.safetensors";
  EXPECT_TRUE(import_weights(input, "tf_efficientnet_lite0", output).ok());
  const auto file = core::load_safetensors(output);
  EXPECT_EQ(file.metadata.at("backbone"), "tf_efficientnet_lite0");
  EXPECT_EQ(file.tensors.size(), weights.size() - 3);
  for (const auto& [key, tensor] : file.tensors) EXPECT_TRUE(tensor.equal(weights.at(key))) << key;
}

TEST_F(BackboneWeightsTest, ImportOfAnotherBackbonesWeightsReportsAndWritesNothing) {
  auto weights = make_weights();
  weights.erase("conv_stem.weight");
  weights["bn3.weight"] = at::zeros({7});
  const auto input = save(weights);
  const auto output = folder_ / "out.safetensors";
  const auto report = import_weights(input, "tf_efficientnet_lite2", output);
  EXPECT_EQ(report.unexpected, (std::vector<std::string>{"bn3.weight"}));
  EXPECT_EQ(report.missing.front(), "blocks.1.2.bn1.bias");  // lite2 is deeper
  EXPECT_EQ(report.missing.back(), "conv_stem.weight");
  EXPECT_EQ(report.missing.size(), 76U);  // this and the counts below: by timm's two state dicts
  EXPECT_EQ(report.misshaped.size(), 185U);
  const auto text = report.text();
  for (const auto* part : {"matched       102  blocks (97)  bn1 (5)\n", "\nunexpected      1\n  bn3.weight\n",
                           "\n  blocks.1.2.bn1.bias\n", "  conv_stem.weight\n", "\nmis-shaped "}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
  EXPECT_THROW(std::ignore = import_weights(input, "resnet", output), core::UsageError);
  EXPECT_FALSE(std::filesystem::exists(output));
}

TEST_F(BackboneWeightsTest, SavedOnesAreLoadedBack) {
  const auto backbone = make_backbone({.name = "edgenext_xx_small"});
  save_weights(*backbone, "edgenext_xx_small", folder_ / "out.safetensors");
  const auto again = make_backbone({.name = "edgenext_xx_small", .weights = folder_ / "out.safetensors"});
  const auto state = nn::state_dict(*again);
  for (const auto& [key, tensor] : nn::state_dict(*backbone)) EXPECT_TRUE(tensor.equal(state.at(key))) << key;
}

TEST_F(BackboneWeightsTest, AreRecognised) {
  EXPECT_EQ(fitting_backbones(make_weights()), (std::vector<std::string>{"tf_efficientnet_lite0"}));
  auto weights = make_weights();
  weights["extra.weight"] = at::zeros({1});
  EXPECT_TRUE(fitting_backbones(weights).empty());
  EXPECT_TRUE(fitting_backbones({}).empty());
}

TEST_F(BackboneWeightsTest, EveryBackboneIsRecognisedByItsShapes) {
  at::manual_seed(1);
  const auto before = at::rand({4});
  for (const auto& name : backbone_names()) {
    if (name.ends_with("_b5") || name.ends_with("_b4") || name.ends_with("_b3")) continue;  // a second to make
    core::TensorMap shapes;
    for (const auto& [key, tensor] : nn::state_dict(*make_backbone({.name = name}))) shapes[key] = tensor;
    EXPECT_EQ(fitting_backbones(shapes), (std::vector<std::string>{name}));
  }
  at::manual_seed(1);
  fitting_backbones({});
  EXPECT_TRUE(at::rand({4}).equal(before)) << "draws random numbers, or leaves tensors without values behind";
}

TEST_F(BackboneWeightsTest, OfTorchSaveSayHowToConvertThem) {
  const std::string zip("PK\x03\x04\0\0\x08\x08\0\0archive/data.pkl", 26);
  const std::string legacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  for (const auto& bytes : {zip, legacy}) {
    std::ofstream(folder_ / "w.pth", std::ios::binary) << bytes;
    const auto message =
        refusal([&] { make_backbone({.name = "tf_efficientnet_lite0", .weights = folder_ / "w.pth"}); });
    EXPECT_NE(message.find("written by torch.save"), std::string::npos) << message;
    EXPECT_NE(message.find("codmoe_convert.py"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace codmoe::backbone
