// The programs end to end: synth, train, evaluate, predict; and what they say to bad input.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "codmoe/core/safetensors.h"
#include "codmoe/data/image_file.h"
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

  /// What codmoe-eval says of the checkpoint, after a check that the maps of codmoe-predict score the same.
  static nlohmann::json scores_of_both_ways(const std::string& options) {
    const auto checkpoint = "--device cpu --checkpoint " + path("run") + " " + options;
    const auto of_checkpoint = run_program("codmoe-eval", checkpoint + " --data data=" + path("data") + " --json " +
                                                              path("a.json") + " --report " + path("report"));
    EXPECT_EQ(of_checkpoint.exit_code, 0) << of_checkpoint.output;
    const auto maps =
        run_program("codmoe-predict", checkpoint + " --output " + path("masks") + " " + path("data/Imgs"));
    EXPECT_EQ(maps.exit_code, 0) << maps.output;
    const auto of_maps = run_program(
        "codmoe-eval", "--pred " + path("masks") + " --gt " + path("data/GT") + " --json " + path("b.json"));
    EXPECT_EQ(of_maps.exit_code, 0) << of_maps.output;
    const auto a = read_json(*folder_ / "a.json"), b = read_json(*folder_ / "b.json");
    for (const auto* metric : {"IoU", "MAE", "Smeasure", "maxFm", "wFmeasure"}) {
      EXPECT_TRUE(a["datasets"]["data"][metric].is_number()) << metric;
      EXPECT_EQ(a["datasets"]["data"][metric], b["datasets"].front()[metric]) << metric;
    }
    return a;
  }

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
  EXPECT_EQ(scores_of_both_ways("")["datasets"]["data"]["n"], 6);
  EXPECT_TRUE(fs::exists(*folder_ / "report" / "index.html"));
  EXPECT_TRUE(fs::exists(*folder_ / "report" / "images.csv"));
}

TEST_F(Programs, TestTimeAugmentationIsScoredAndSaid) {
  const auto plain = scores_of_both_ways("");
  EXPECT_FALSE(plain.contains("test_time_augmentation"));
  const auto augmented = scores_of_both_ways("--tta flip --scales 0.5,1");
  EXPECT_NE(augmented["datasets"]["data"]["Smeasure"], plain["datasets"]["data"]["Smeasure"]);
  const std::string views = "mean over the image and its mirror image, at scales 0.5, 1";
  EXPECT_EQ(augmented["test_time_augmentation"], views);
  EXPECT_NE(augmented["conventions"].get<std::string>().find(views), std::string::npos);
  const auto by_file = run_program("codmoe-eval", "--print-config --set tta=flip --scales 2");
  EXPECT_NE(by_file.output.find("tta: flip\nscales: [1.0]"), std::string::npos) << by_file.output;
}

TEST_F(Programs, ABrokenPhotographDoesNotStopTheOthers) {
  fs::create_directories(*folder_ / "photos");
  fs::copy_file(*folder_ / "data/Imgs/synth_00000.png", *folder_ / "photos/K\u00e4fer 1.png");
  fs::copy_file(*folder_ / "data/Imgs/synth_00001.png", *folder_ / "photos/z.png");
  std::ofstream(*folder_ / "photos/broken.jpg") << "no picture";
  const auto run = [&](const std::string& more) {
    return run_program("codmoe-predict", "--device cpu --checkpoint " + path("run") + " " + more);
  };
  const auto soft = run("--output " + path("soft") + " --overlay --batch-size 1 " + path("photos/*"));
  EXPECT_EQ(soft.exit_code, 1);
  EXPECT_NE(soft.output.find("broken.jpg"), std::string::npos) << soft.output;
  EXPECT_NE(soft.output.find("1 of 3 images could not be read"), std::string::npos) << soft.output;
  const auto mask =
      run("--output " + path("hard") + " --format mask " + path("photos/z.png") + " " + path("photos/K*"));
  EXPECT_EQ(mask.exit_code, 0) << mask.output;
  for (const auto* name : {"K\u00e4fer 1", "z"}) {
    EXPECT_TRUE(fs::exists(*folder_ / "soft" / (std::string(name) + ".overlay.png"))) << name;
    const auto levels = data::read_mask(*folder_ / "soft" / (std::string(name) + ".png"));
    const auto binary = data::read_mask(*folder_ / "hard" / (std::string(name) + ".png"));
    EXPECT_TRUE(binary.equal(levels.ge(128) * 255)) << name;
  }
}

TEST_F(Programs, PredictionRefusesWhatWouldGoWrong) {
  std::ofstream(*folder_ / "a_file") << "x";
  fs::create_directories(*folder_ / "twins");
  for (const auto* name : {"a.png", "a.jpg"}) std::ofstream(*folder_ / "twins" / name) << "x";
  for (const auto& [arguments, code, said] :
       {std::tuple{"--output " + path("o") + " " + path("nowhere"), 2, "no such file or folder"},
        {"--output " + path("o") + " " + path("data/*.gif"), 2, "matches no file"},
        {"--output " + path("o") + " " + path("twins"), 2, "a.jpg and"},
        {"--output " + path("data/Imgs") + " " + path("data/Imgs"), 2, "overwritten by its own map"},
        {"--output " + path("o") + " --scales 9 " + path("data/Imgs"), 2, "--scales must lie between"},
        {"--output " + path("a_file/o") + " " + path("data/Imgs"), 1, "cannot be written into"}}) {
    const auto result = run_program("codmoe-predict", "--device cpu --checkpoint " + path("run") + " " + arguments);
    EXPECT_EQ(result.exit_code, code) << arguments << ": " << result.output;
    EXPECT_NE(result.output.find(said), std::string::npos) << result.output;
    EXPECT_EQ(std::ranges::count(result.output, '\n'), 1) << result.output;
  }
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

/// The line of `output` that begins with `start`; empty where none does.
std::string line_of(const std::string& output, const std::string& start) {
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(start)) return line;
  }
  return "";
}

TEST_F(Programs, InfoTellsWhatACheckpointHolds) {
  const auto last = read_json(*folder_ / "run" / "checkpoints" / "best" / "state.json")["progress"];
  const auto [code, output] = run_program("codmoe-data", "info " + path("run"));
  ASSERT_EQ(code, 0) << output;
  EXPECT_EQ(line_of(output, "step "),
            fmt::format("{:11} {}, after {} epochs", "step", last["step"].get<int>(), last["epoch"].get<int>()));
  EXPECT_EQ(line_of(output, "best "), fmt::format("{:11} IoU {:.4f}, after step {}", "best",
                                                  last["best_score"].get<double>(), last["best_step"].get<int>()));
  EXPECT_NE(line_of(output, "validation ").find(fmt::format("IoU {:.4f}", last["best_score"].get<double>())),
            std::string::npos)
      << output;
  EXPECT_EQ(line_of(output, "backbone "), "backbone    tiny");
  EXPECT_EQ(line_of(output, "precision "), "precision   float32");
  EXPECT_NE(line_of(output, "moe ").find("texture, frequency, edge, contrast, attention, hybrid; top 2"),
            std::string::npos);
  for (const auto* part :
       {"model.safetensors: weights of a detector\n", "fits tiny\n", "optimizer.safetensors: state of an optimizer\n",
        "\n  moe.0.experts.5 ", "\ndecoder ", "not finite  none\n"}) {
    EXPECT_NE(output.find(part), std::string::npos) << part << " is not in\n" << output;
  }
  const auto step = run_program("codmoe-data", "info " + path("run/checkpoints/last"));
  EXPECT_EQ(step.exit_code, 0) << step.output;
  const auto dataset = run_program("codmoe-data", "info " + path("data"));
  EXPECT_NE(dataset.output.find("6 pairs"), std::string::npos) << dataset.output;
}

TEST_F(Programs, InfoNamesWhatIsNotFinite) {
  auto tensors = core::load_safetensors(*folder_ / "run" / "checkpoints" / "last" / "model.safetensors").tensors;
  tensors.begin()->second.fill_(std::numeric_limits<double>::quiet_NaN());
  core::save_safetensors(*folder_ / "nan.safetensors", tensors, {{"by", "a test\n"}});
  const auto result = run_program("codmoe-data", "info " + path("nan.safetensors"));
  EXPECT_EQ(line_of(result.output, "not finite"), "not finite  " + tensors.begin()->first);
  EXPECT_EQ(line_of(result.output, "metadata"), "metadata    by: a test?");
}

TEST_F(Programs, AnExportedBackboneIsImportedAndTrainedOn) {
  const auto exported =
      run_program("codmoe-data", "export-backbone " + path("run") + " --output " + path("backbone.safetensors"));
  ASSERT_EQ(exported.exit_code, 0) << exported.output;
  const auto imported = run_program("codmoe-data", "import-weights " + path("backbone.safetensors") +
                                                       " --backbone tiny --output " + path("again.safetensors"));
  ASSERT_EQ(imported.exit_code, 0) << imported.output;
  EXPECT_EQ(line_of(imported.output, "matched "), "matched        72  stages (60)  stem (12)");
  const auto a = core::load_safetensors(*folder_ / "backbone.safetensors"),
             b = core::load_safetensors(*folder_ / "again.safetensors");
  EXPECT_EQ(a.metadata, b.metadata);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [key, tensor] : a.tensors) EXPECT_TRUE(tensor.equal(b.tensors.at(key))) << key;
  const auto misfit = run_program("codmoe-data", "import-weights " + path("backbone.safetensors") +
                                                     " --backbone resnet18 --output " + path("no.safetensors"));
  EXPECT_EQ(misfit.exit_code, 1);
  EXPECT_NE(misfit.output.find("it fits tiny; nothing is written"), std::string::npos) << misfit.output;
  EXPECT_NE(misfit.output.find("\n  conv1.weight\n"), std::string::npos) << misfit.output;
  EXPECT_FALSE(fs::exists(*folder_ / "no.safetensors"));
}

TEST_F(Programs, SayHowToConvertAFileOfTorchSave) {
  std::ofstream(*folder_ / "w.pth", std::ios::binary) << std::string("PK\x03\x04\0\0\x08\x08\0\0archive/data.pkl", 26);
  for (const auto& [program, arguments] :
       {std::pair{"codmoe-data", "info " + path("w.pth")},
        {"codmoe-data", "import-weights " + path("w.pth") + " --backbone tiny --output " + path("no.safetensors")},
        {"codmoe-train", "--device cpu --config " + path("run.yaml") + " --set backbone.weights=" + path("w.pth") +
                             " --output " + path("no")}}) {
    const auto result = run_program(program, arguments);
    EXPECT_EQ(result.exit_code, 1) << result.output;
    EXPECT_NE(result.output.find("convert it with apps/convert/codmoe_convert.py"), std::string::npos) << result.output;
  }
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
                                           {"codmoe-data", "info"},
                                           {"codmoe-data", "import-weights x.safetensors --backbone tiny"},
                                           {"codmoe-data", "export-backbone run"},
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
