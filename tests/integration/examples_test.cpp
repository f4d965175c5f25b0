// The programs of apps/examples, and the files of configs/bench, as a user runs them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

#include "codmoe/core/safetensors.h"
#include "integration/program.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

TEST(Examples, AnOwnExpertIsTrainedInAPool) {
  const auto result = test::run_program("own_expert", "");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const std::regex line(R"(step (\d): loss (\S+), load texture (\S+) edge (\S+) mirror (\S+)\n)");
  std::vector<double> losses;
  for (std::sregex_iterator found(result.output.begin(), result.output.end(), line), end; found != end; ++found) {
    losses.push_back(std::stod((*found)[2]));
    EXPECT_NEAR(std::stod((*found)[3]) + std::stod((*found)[4]) + std::stod((*found)[5]), 1.0, 0.02) << result.output;
  }
  ASSERT_EQ(losses.size(), 5U) << result.output;
  EXPECT_LT(losses.back(), losses.front()) << result.output;
}

TEST(Bench, ItsConfigsAreValid) {
  for (const auto& [subcommand, more] : std::vector<std::pair<std::string, std::string>>{
           {"layer", ""}, {"experts", ""}, {"model", ""}, {"train", ""}, {"data", " --set data.dir=."}}) {
    const auto file = std::filesystem::path(CODMOE_SOURCE_DIR) / "configs" / "bench" / subcommand;
    const auto arguments = subcommand + " --config " + file.string() + ".yaml --print-config" + more;
    const auto result = test::run_program("codmoe-bench", arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_NE(result.output.find("seconds: "), std::string::npos) << result.output;
  }
}

TEST(Bench, ExpertsPrintsItsTableAndWritesItsCases) {
  const test::TemporaryFolder folder;
  const auto json = (folder / "experts.json").string();
  const auto result = test::run_program(
      "codmoe-bench",
      "experts --device cpu --batch 1,2 --pass forward --set dim=8 --set height=4 --set width=4 --set route_sets=1 "
      "--set 'timing={warmup: 1, runs: 2}' --json '" +
          json + "'");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("pooled twice"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("contrast: claimed 25 % fewer parameters; here"), std::string::npos) << result.output;
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(json)).size(), 2U * 12U);  // batches x forms
}

/// Runs `codmoe-bench model` on the tiny backbone.
test::ProgramResult run_model_bench(const std::string& arguments) {
  return test::run_program("codmoe-bench", "model --device cpu --backbone tiny " + arguments);
}

TEST(Bench, ModelPrintsItsTableAndWritesItsCases) {
  const test::TemporaryFolder folder;
  const auto json = (folder / "model.json").string();
  const auto result = run_model_bench(
      "--size 32x48,64x64 --batch 1,2 --pass forward,train --dtype float32,bfloat16 "
      "--set 'timing={warmup: 1, runs: 2}' --json '" +
      json + "'");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_NE(result.output.find("tiny, 0.1 million parameters, 32x48 on"), std::string::npos) << result.output;
  const auto cases = nlohmann::json::parse(std::ifstream(json));
  ASSERT_EQ(cases.size(), 2U * 2U * 2U * 2U);
  EXPECT_EQ(cases.at(0).at("backbone"), "tiny");
  EXPECT_EQ(cases.at(0).at("width"), 48);
}

TEST(Bench, ModelTakesWeightsAndImagesAndSavesFeaturesAndGradients) {
  const test::TemporaryFolder folder;
  const auto io = (folder / "io.safetensors").string(), second = (folder / "second.safetensors").string();
  const auto weights = folder / "my: weights.safetensors";
  auto result = run_model_bench("--size 32x48 --batch 2 --save-io '" + io + "'");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "");  // nothing was timed
  auto first = core::load_safetensors(io).tensors;
  auto own = first;
  std::erase_if(own, [](const auto& item) { return item.first == "input" || item.first.starts_with("features."); });
  core::save_safetensors(weights, own);

  result = run_model_bench("--pass train --set frozen_norm=true --weights '" + weights.string() + "' --input '" + io +
                           "' --save-io '" + second + "'");
  ASSERT_EQ(result.exit_code, 0) << result.output;
  const auto again = core::load_safetensors(second).tensors;
  for (int level = 0; level < 4; ++level) {
    const auto key = "features." + std::to_string(level);
    EXPECT_TRUE(again.at(key).allclose(first.at(key), 1e-5, 1e-6)) << key;
  }
  EXPECT_TRUE(again.contains("grad." + own.begin()->first));
}

TEST(Bench, ModelRefusesOtherSizesInOneLine) {
  for (const auto* size : {"64", "64x64x3"}) {
    const auto result = run_model_bench("--size=" + std::string(size));
    EXPECT_EQ(result.exit_code, 2) << size;
    EXPECT_EQ(result.output,
              "codmoe-bench: --size: '" + std::string(size) + "' must be HEIGHTxWIDTH, such as 352x352\n");
  }
}

TEST(Bench, TrainRefusesWhatNeedsAGpu) {
  const auto profile = test::run_program("codmoe-bench", "train --device cpu --profile trace.json");
  EXPECT_EQ(profile.exit_code, 2);
  EXPECT_EQ(profile.output, "codmoe-bench: --profile needs a CUDA device\n");
  const auto graph = test::run_program("codmoe-bench", "train --device cpu --set launch=[graph]");
  EXPECT_EQ(graph.exit_code, 2);
  EXPECT_EQ(graph.output, "codmoe-bench: launch: graph needs a CUDA device\n");
}

}  // namespace
}  // namespace codmoe
