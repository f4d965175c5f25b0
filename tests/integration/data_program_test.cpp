// codmoe-data end to end: make a set, describe it, find what is wrong with it.
#include <gtest/gtest.h>

#include <filesystem>

#include "codmoe/core/files.h"
#include "codmoe/core/options_json.h"
#include "program.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;

class DataProgram : public testing::Test {
 protected:
  void SetUp() override {
    const auto made = run("synth --output " + path("a") + " --count 5 --size 64 --kinds texture=2,many,tiny");
    ASSERT_EQ(made.exit_code, 0) << made.output;
  }
  std::string path(const std::string& name) const { return "'" + (dir_ / name).string() + "'"; }
  static test::ProgramResult run(const std::string& arguments) { return test::run_program("codmoe-data", arguments); }

  test::TemporaryFolder dir_;
};

TEST_F(DataProgram, CheckOfACleanSetEndsWithZeroAndWritesWhatIsAskedFor) {
  const auto result = run("check " + path("a") + " --json " + path("a.json") + " --report " + path("page"));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  const auto json = core::Json::parse(core::read_file(dir_ / "a.json"));
  EXPECT_FALSE(json["falsifies_scores"].get<bool>());
  EXPECT_EQ(json["datasets"][0]["pairs"], 5);
  EXPECT_TRUE(fs::exists(dir_ / "page/index.html"));
}

TEST_F(DataProgram, AnImageInTwoSetsEndsWithOne) {
  ASSERT_EQ(run("synth --output " + path("b") + " --count 2 --size 64 --seed 9").exit_code, 0);
  fs::copy_file(dir_ / "a/Imgs/synth_00003.png", dir_ / "b/Imgs/synth_00001.png", fs::copy_options::overwrite_existing);
  const auto result = run("check " + path("a") + " " + path("b"));
  EXPECT_EQ(result.exit_code, 1) << result.output;
  EXPECT_NE(result.output.find("exact-duplicate"), std::string::npos) << result.output;
  EXPECT_EQ(run("check " + path("b")).exit_code, 0);
}

TEST_F(DataProgram, InfoWritesAPictureOfSamples) {
  EXPECT_EQ(run("info " + path("a") + " --grid " + path("grid.png")).exit_code, 0);
  EXPECT_GT(fs::file_size(dir_ / "grid.png"), 1000U);
}

TEST_F(DataProgram, APackedSetStandsForItsFolder) {
  const auto packed = run("pack " + path("a") + " --size 32 --output " + path("a.safetensors"));
  ASSERT_EQ(packed.exit_code, 0) << packed.output;
  EXPECT_NE(packed.output.find("5 samples"), std::string::npos) << packed.output;
  const auto info = run("info " + path("a.safetensors"));
  EXPECT_EQ(info.exit_code, 0) << info.output;
  EXPECT_NE(info.output.find("for batches of 32 pixels"), std::string::npos) << info.output;
  EXPECT_EQ(run("info " + path("a.safetensors") + " --grid " + path("grid.png")).exit_code, 0);
  auto bytes = core::read_file(dir_ / "a.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  core::write_file_atomically(dir_ / "a.safetensors", bytes);
  const auto damaged = run("info " + path("a.safetensors"));
  EXPECT_EQ(damaged.exit_code, 1) << damaged.output;
  EXPECT_NE(damaged.output.find("'synth_00004' doesn't fit its checksum"), std::string::npos) << damaged.output;
}

TEST_F(DataProgram, InfoWritesAPictureOfAugmentedSamples) {
  const auto grid = "info " + path("a") + " --augmented --grid " + path("augmented.png");
  EXPECT_EQ(run(grid).exit_code, 0);
  const auto first = core::read_file(dir_ / "augmented.png");
  EXPECT_EQ(run(grid + " --set data.augment.paste=1").exit_code, 0);
  EXPECT_NE(core::read_file(dir_ / "augmented.png"), first);
  EXPECT_EQ(run(grid + " --set data.augment.past=1").exit_code, 2);
  EXPECT_EQ(run("info " + path("a") + " --augmented").exit_code, 2);
  EXPECT_EQ(run("info " + path("a") + " --set data.augment.paste=1").exit_code, 2);
}

TEST_F(DataProgram, BadOptionsOfSynthEndWithTwo) {
  for (const char* options : {"--kinds striped", "--kinds tiny=x"}) {
    const auto result = run("synth --output " + path("c") + " " + options);
    EXPECT_EQ(result.exit_code, 2) << options << ": " << result.output;
  }
}

}  // namespace
}  // namespace codmoe
