// The programs end to end: synth, train, evaluate, predict; and what they say to bad input.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "integration/program.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

namespace fs = std::filesystem;
using test::run_program;

nlohmann::json read_json(const fs::path& file) { return nlohmann::json::parse(std::ifstream(file)); }

/// One small trained run, made by the first test that asks.
class Programs : public ::testing::Test {
 protected:
  // Not SetUpTestSuite: where that fails, GoogleTest only skips the tests.
  void SetUp() override {
    if (folder_) return;
    train();
    if (HasFatalFailure()) folder_.reset();  // the next test fails for the same reason, not for a file that is missing
  }
  static void TearDownTestSuite() { folder_.reset(); }
  static std::string path(const std::string& name) { return "'" + (*folder_ / name).string() + "'"; }

  static std::optional<test::TemporaryFolder> folder_;

 private:
  static void train() {
    folder_.emplace();
    ASSERT_EQ(run_program("codmoe-data", "synth --output " + path("data") + " --count 6 --size 64 --seed 5").exit_code,
              0);
    std::ofstream(*folder_ / "run.yaml")
        << "backbone: {name: tiny}\ndecoder: {width: 8}\n"
           "data: {train: {dir: data}, val: {dir: data}, loader: {batch_size: 3, size: 64}}\n"
           "schedule: {epochs: 2}\n";
    const auto trained =
        run_program("codmoe-train", "--config " + path("run.yaml") + " --output " + path("run") + " --device cpu");
    ASSERT_EQ(trained.exit_code, 0) << trained.output;
  }
};
std::optional<test::TemporaryFolder> Programs::folder_;

TEST_F(Programs, RunFolderIsComplete) {
  const auto is_event_file = [](const fs::directory_entry& entry) {
    return entry.path().filename().string().starts_with("events.out.tfevents.");
  };
  EXPECT_EQ(std::count_if(fs::directory_iterator(*folder_ / "run"), fs::directory_iterator(), is_event_file), 1);
  for (const auto* name :
       {"config.yaml", "metrics.jsonl", "checkpoints/last/model.safetensors", "checkpoints/last/optimizer.safetensors",
        "checkpoints/last/state.json", "checkpoints/best/state.json"}) {
    EXPECT_TRUE(fs::exists(*folder_ / "run" / name)) << name;
  }
}

TEST_F(Programs, AUsedRunFolderIsNotOverwritten) {
  const auto again = run_program("codmoe-train", "--config " + path("run.yaml") + " --output " + path("run"));
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.output.find("--resume"), std::string::npos) << again.output;
}

TEST_F(Programs, CheckpointAndWrittenMasksScoreTheSame) {
  const auto evaluated =
      run_program("codmoe-eval", "--device cpu --checkpoint " + path("run") + " --data data=" + path("data") +
                                     " --json " + path("a.json") + " --report " + path("report"));
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.output;
  ASSERT_EQ(run_program("codmoe-predict", "--device cpu --checkpoint " + path("run") + " --output " + path("masks") +
                                              " " + path("data/Imgs"))
                .exit_code,
            0);
  const auto folders =
      run_program("codmoe-eval", "--pred " + path("masks") + " --gt " + path("data/GT") + " --json " + path("b.json"));
  ASSERT_EQ(folders.exit_code, 0) << folders.output;
  const auto a = read_json(*folder_ / "a.json")["datasets"].front(),
             b = read_json(*folder_ / "b.json")["datasets"].front();
  EXPECT_EQ(a["n"], 6);
  for (const auto* metric : {"IoU", "MAE", "Smeasure", "maxFm", "wFmeasure"}) {
    ASSERT_TRUE(a[metric].is_number()) << metric;
    EXPECT_EQ(a[metric], b[metric]) << metric;
  }
  EXPECT_TRUE(fs::exists(*folder_ / "report" / "index.html"));
  EXPECT_TRUE(fs::exists(*folder_ / "report" / "images.csv"));
}

TEST_F(Programs, RoutingOfEachImageIsWritten) {
  const auto evaluated =
      run_program("codmoe-eval", "--device cpu --checkpoint " + path("run") + " --data data=" + path("data") +
                                     " --routing " + path("routing.csv") + " --json " + path("r.json"));
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.output;
  std::ifstream csv(*folder_ / "routing.csv");
  std::string line;
  std::getline(csv, line);
  EXPECT_EQ(line, "run,dataset,name,layer,expert,rank,share,weight");
  int lines = 0;
  for (; std::getline(csv, line); ++lines) EXPECT_TRUE(line.starts_with("run,data,")) << line;
  EXPECT_EQ(lines, 6 * 2);  // images, experts an image
  EXPECT_EQ(read_json(*folder_ / "r.json")["experts"]["data"]["moe.0"]["all"]["n"], 6);
  const auto folders = run_program("codmoe-eval", "--pred x --gt y --routing " + path("routing.csv"));
  EXPECT_EQ(folders.exit_code, 2);
  EXPECT_TRUE(folders.output.find("--routing needs a checkpoint") != std::string::npos) << folders.output;
}

TEST_F(Programs, EvaluationIsDrivenByAConfigToo) {
  std::ofstream(*folder_ / "eval.yaml") << "checkpoints: {tiny: run}\ndata: {synth: {dir: data}}\njson: c.json\n";
  const auto result = run_program("codmoe-eval", "--device cpu --config " + path("eval.yaml"));
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(read_json(*folder_ / "c.json")["datasets"]["synth"]["n"], 6);
}

TEST_F(Programs, AMissingMaskIsNamed) {
  fs::copy(*folder_ / "data", *folder_ / "broken", fs::copy_options::recursive);
  const auto victim = *fs::directory_iterator(*folder_ / "broken" / "GT");
  fs::remove(victim);
  const auto result =
      run_program("codmoe-eval", "--device cpu --checkpoint " + path("run") + " --data x=" + path("broken"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find(victim.path().stem().string()), std::string::npos) << result.output;
}

TEST(BadConfigs, EachGivesItsLineAndExitsWithTwo) {
  int tried = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(CODMOE_SOURCE_DIR) / "tests" / "bad_configs")) {
    std::ifstream stream(entry.path());
    std::string expected;
    std::getline(stream, expected);
    ASSERT_TRUE(expected.starts_with("# expect: ")) << entry.path();
    const auto result = run_program("codmoe-train", "--config '" + entry.path().string() + "' --output unused");
    EXPECT_EQ(result.exit_code, 2) << entry.path();
    EXPECT_NE(result.output.find(expected.substr(10)), std::string::npos) << result.output;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
    ++tried;
  }
  EXPECT_GE(tried, 5);
}

TEST(CommandLines, WrongUsageIsOneLineAndTwo) {
  for (const auto& [program, arguments] : {std::pair{"codmoe-train", "--nonsense"},
                                           {"codmoe-train", "--config no_such.yaml"},
                                           {"codmoe-train", ""},
                                           {"codmoe-eval", ""},
                                           {"codmoe-eval", "--pred /tmp"},
                                           {"codmoe-predict", ""},
                                           {"codmoe-data", "frobnicate"},
                                           {"codmoe-bench", "frobnicate"},
                                           {"codmoe-train", "--device gpu --output x"}}) {
    const auto result = run_program(program, arguments);
    EXPECT_EQ(result.exit_code, 2) << program << " " << arguments << ": " << result.output;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << program << " " << arguments << ": " << result.output;
  }
  for (const auto* program : {"codmoe-train", "codmoe-eval", "codmoe-predict", "codmoe-data", "codmoe-bench"}) {
    EXPECT_EQ(run_program(program, "--version").exit_code, 0) << program;
    EXPECT_EQ(run_program(program, "--help").exit_code, 0) << program;
  }
}

}  // namespace
}  // namespace codmoe
