// codmoe-eval on several folders of predictions and datasets; and what it says to a command line that means nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "integration/program.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using test::run_program;

/// Two datasets, and two runs of predictions: "own" are the masks themselves, "swapped" those of the other dataset.
class EvalProgram : public ::testing::Test {
 protected:
  EvalProgram() {
    for (const auto* seed : {"1", "2"}) {
      const auto made = run_program(
          "codmoe-data", "synth --output " + path("set" + std::string(seed)) + " --count 3 --size 64 --seed " + seed);
      EXPECT_EQ(made.exit_code, 0) << made.output;
    }
    copy_masks("set1", "own/A");
    copy_masks("set2", "own/B");
    copy_masks("set1", "swapped/B");
    copy_masks("set2", "swapped/A");
  }

  std::string path(const std::string& name) const { return "'" + (folder_ / name).string() + "'"; }

  void copy_masks(const std::string& dataset, const std::string& to) const {
    fs::create_directories(folder_ / to);
    fs::copy(folder_ / dataset / "GT", folder_ / to, fs::copy_options::recursive);
  }

  std::string datasets() const { return " --data A=" + path("set1") + " --data B=" + path("set2"); }

  nlohmann::json json_of(const std::string& arguments) const {
    const auto result = run_program("codmoe-eval", arguments + " --json " + path("scores.json"));
    EXPECT_EQ(result.exit_code, 0) << result.output;
    std::ifstream file(folder_ / "scores.json");
    return result.exit_code == 0 ? nlohmann::json::parse(file) : nlohmann::json();
  }

  test::TemporaryFolder folder_;
};

TEST_F(EvalProgram, SeveralFoldersOnSeveralDatasetsAreOneTable) {
  const auto json = json_of("--pred " + path("own") + " --pred '<other>'=" + path("swapped") + datasets());
  ASSERT_EQ(json["runs"].size(), 2U);
  for (const auto* dataset : {"A", "B"}) {
    EXPECT_EQ(json["runs"]["own"]["datasets"][dataset]["n"], 3);
    EXPECT_EQ(json["runs"]["own"]["datasets"][dataset]["IoU"], 1);
    EXPECT_LT(json["runs"]["<other>"]["datasets"][dataset]["IoU"], 0.9);
    EXPECT_EQ(json["runs"]["own"]["inputs"][dataset]["masks"], json["runs"]["<other>"]["inputs"][dataset]["masks"]);
  }
}

TEST_F(EvalProgram, MapsOfTheOnlyDatasetMayLieInTheFolderItself) {
  std::ofstream(folder_ / "set1" / "two.txt") << "synth_00002\nsynth_00000\n";
  fs::remove(folder_ / "own" / "A" / "synth_00001.png");
  const auto list = " --data A=" + path("set1/two.txt");
  EXPECT_EQ(json_of("--pred " + path("own/A") + list)["datasets"]["A"]["n"], 2);
  EXPECT_EQ(json_of("--pred " + path("own") + list)["datasets"]["A"]["n"], 2);
}

TEST_F(EvalProgram, AMissingFolderOrMapIsNamed) {
  fs::remove_all(folder_ / "own" / "B");
  const auto folder = run_program("codmoe-eval", "--pred " + path("own") + datasets());
  EXPECT_EQ(folder.exit_code, 1);
  EXPECT_NE(folder.output.find((folder_ / "own" / "B").string()), std::string::npos) << folder.output;
  fs::remove(folder_ / "swapped" / "A" / "synth_00001.png");
  const auto map = run_program("codmoe-eval", "--pred " + path("swapped") + datasets());
  EXPECT_EQ(map.exit_code, 1);
  EXPECT_NE(map.output.find("1 of 3 masks have no prediction: synth_00001"), std::string::npos) << map.output;
}

TEST(EvalCommandLine, WhatMeansNothingIsRefusedInOneLine) {
  for (const auto& [arguments, reason] :
       {std::pair{"--pred a=x --pred a=y --gt z", "--pred a=y: another has this name"},
        {"--pred x/maps --pred y/maps/ --gt z", "--pred y/maps/: another has this name"},
        {"--checkpoint r --data A=x --data A=y", "--data A=y: another has this name"},
        {"--checkpoint r --data A=", "--data A=: must be NAME=DIR"},
        {"--pred x --gt y --data A=z", "--gt cannot stand beside data"},
        {"--gt y", "--gt needs pred"},
        {"--pred x", "--pred needs gt or data"},
        {"--checkpoint a=x --pred a=y --data A=z", "--pred a: a checkpoint has this name"},
        {"--checkpoint a --data A=z --scales 9", "--scales must lie between 0.25 and 4"},
        {"--pred x --gt y --tta flip", "--tta needs a checkpoint"},
        {"--pred x --gt y --scales 1,2", "--scales needs a checkpoint"},
        {"--pred x --gt y --device cudda", "--device: 'cudda' is unknown"},
        {"--data A=z", "name --checkpoint PATH or --pred DIR"}}) {
    const auto result = run_program("codmoe-eval", arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments << ": " << result.output;
    EXPECT_NE(result.output.find(reason), std::string::npos) << arguments << ": " << result.output;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << arguments << ": " << result.output;
  }
}

}  // namespace
}  // namespace codmoe
