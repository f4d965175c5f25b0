// The programs of apps/examples, and the files of configs/bench, as a user runs them.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>

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
  for (const auto* subcommand : {"layer", "experts"}) {
    const auto file = std::filesystem::path(CODMOE_SOURCE_DIR) / "configs" / "bench" / subcommand;
    const auto arguments = std::string(subcommand) + " --config " + file.string() + ".yaml --print-config";
    const auto result = test::run_program("codmoe-bench", arguments);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_NE(result.output.find("route_sets: 20"), std::string::npos) << result.output;
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

}  // namespace
}  // namespace codmoe
