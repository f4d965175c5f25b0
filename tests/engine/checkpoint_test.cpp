#include "codmoe/engine/checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "codmoe/core/files.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

Progress at_step(int64_t step, int64_t best_step = -1) {
  Progress progress;
  progress.step = step;
  progress.best_step = best_step;
  return progress;
}

/// A checkpoint store with the tiny detector's first weights in it.
class CheckpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_ = testing::small_options(folder_);
    model_ = model::Detector(options_.model);
    optimizer_ = std::make_unique<Optimizer>(parameter_groups(*model_, options_.model.backbone), options_.optimizer);
  }
  void save(int64_t step, bool best = false, int64_t keep_last = 2) {
    store().save(*model_, training_state(*optimizer_), /*average=*/nullptr, at_step(step),
                 core::write_options(options_), "data", keep_last);
    if (best) store().note_validation(at_step(step, step), best, keep_last);
  }
  CheckpointStore store() const { return CheckpointStore(folder_ / "checkpoints"); }
  /// Entries that a killed or failed writer left.
  int64_t unfinished() const {
    return std::count_if(
        fs::directory_iterator(folder_ / "checkpoints"), fs::directory_iterator(),
        [](const auto& entry) { return entry.path().filename().string().find(".tmp-") != std::string::npos; });
  }
  fs::path step_folder(int64_t step) const { return folder_ / "checkpoints" / ("step-" + std::to_string(step)); }

  /// The message of loading the checkpoint after `change` was made to its weights.
  template <class Change>
  std::string message_after(const Change& change) {
    save(1);
    const auto file = step_folder(1) / "model.safetensors";
    auto tensors = core::load_safetensors(file).tensors;
    change(tensors);
    core::save_safetensors(file, tensors);
    try {
      load_predictor(step_folder(1), c10::kCPU);
    } catch (const core::Error& error) {
      return error.what();
    }
    return "";
  }

  test::TemporaryFolder folder_;
  TrainOptions options_;
  model::Detector model_{nullptr};
  std::unique_ptr<Optimizer> optimizer_;
};

constexpr auto kKey = "moe.0.experts.3.branches.0.conv.weight";

TEST_F(CheckpointTest, WeightsComeBackUnchanged) {
  EXPECT_EQ(message_after([](core::TensorMap& tensors) { EXPECT_TRUE(tensors.contains(kKey)); }), "");
}

TEST_F(CheckpointTest, MissingKeyIsNamed) {
  const auto message = message_after([](core::TensorMap& tensors) { tensors.erase(kKey); });
  EXPECT_NE(message.find(kKey), std::string::npos) << message;
  EXPECT_NE(message.find("missing"), std::string::npos) << message;
}

TEST_F(CheckpointTest, ExtraKeyIsNamed) {
  const auto message = message_after([](core::TensorMap& tensors) { tensors["extra.weight"] = at::ones({2}); });
  EXPECT_NE(message.find("extra.weight"), std::string::npos) << message;
  EXPECT_NE(message.find("unexpected"), std::string::npos) << message;
}

TEST_F(CheckpointTest, MisshapedKeyIsNamed) {
  const auto message = message_after([](core::TensorMap& tensors) { tensors[kKey] = at::ones({3, 2, 1, 1}); });
  EXPECT_NE(message.find(kKey), std::string::npos) << message;
  EXPECT_NE(message.find("[3, 2, 1, 1]"), std::string::npos) << message;
}

TEST_F(CheckpointTest, KeepsTheNewestAndTheBest) {
  save(1, /*best=*/true);
  for (int64_t step = 2; step <= 5; ++step) save(step);
  EXPECT_TRUE(fs::exists(step_folder(1)));
  EXPECT_FALSE(fs::exists(step_folder(2)));
  EXPECT_FALSE(fs::exists(step_folder(3)));
  EXPECT_TRUE(fs::exists(step_folder(4)));
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints" / "last"), "step-5");
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/true), fs::canonical(step_folder(1)));
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/false), fs::canonical(step_folder(5)));
  EXPECT_EQ(find_checkpoint(step_folder(4), /*prefer_best=*/true), fs::canonical(step_folder(4)));
}

TEST_F(CheckpointTest, ABetterValidationReplacesTheBestAndKeepsTheRestOfTheState) {
  save(1, /*best=*/true);
  save(2);
  save(3, /*best=*/false, /*keep_last=*/1);
  EXPECT_TRUE(fs::exists(step_folder(1)));
  const auto config = read_state(step_folder(3)).config;
  auto progress = at_step(3, 3);
  progress.best_score = 0.5;
  store().note_validation(progress, /*best=*/true, /*keep_last=*/1);
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints" / "best"), "step-3");
  EXPECT_FALSE(fs::exists(step_folder(1)));
  const auto state = read_state(find_checkpoint(folder_, /*prefer_best=*/false));
  EXPECT_EQ(state.progress.best_score, 0.5);
  EXPECT_EQ(state.config, config);
  EXPECT_EQ(state.data_fingerprint, "data");
}

TEST_F(CheckpointTest, AStepIsWrittenAgainWhileLastPointsToIt) {
  save(4);
  core::write_file_atomically(step_folder(4) / "extra", "of the first writing");
  save(4);
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/false), fs::canonical(step_folder(4)));
  EXPECT_FALSE(fs::exists(step_folder(4) / "extra"));
  EXPECT_EQ(unfinished(), 0);
}

TEST_F(CheckpointTest, RewindingForgetsWhatComesLater) {
  for (const int64_t step : {2, 4, 6}) save(step, /*best=*/true, /*keep_last=*/9);
  fs::create_directories(folder_ / "checkpoints" / "step-8.tmp-1");
  core::write_file_atomically(folder_ / "checkpoints" / "step-8.tmp-1" / "model.safetensors", "half");
  fs::create_directory_symlink("step-8", folder_ / "checkpoints" / "last.tmp-1");
  core::write_file_atomically(step_folder(4) / "state.json.tmp-1", "half");
  store().rewind_to(at_step(4, /*best_step=*/2));
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints" / "last"), "step-4");
  EXPECT_EQ(fs::read_symlink(folder_ / "checkpoints" / "best"), "step-2");
  EXPECT_FALSE(fs::exists(step_folder(6)));
  EXPECT_FALSE(fs::exists(step_folder(4) / "state.json.tmp-1"));
  EXPECT_EQ(unfinished(), 0);
  save(5, /*best=*/false, /*keep_last=*/1);
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/false), fs::canonical(step_folder(5)));
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/true), fs::canonical(step_folder(2)));
}

TEST_F(CheckpointTest, AFreshStartForgetsASavedStepThatLastNeverReached) {
  save(3);
  fs::remove(folder_ / "checkpoints" / "last");
  store().rewind_to({});
  EXPECT_TRUE(fs::is_empty(folder_ / "checkpoints"));
}

TEST_F(CheckpointTest, WithoutLinksTheNewestStepIsTaken) {
  for (const int64_t step : {9, 10}) save(step);
  fs::remove(folder_ / "checkpoints" / "last");
  EXPECT_TRUE(has_checkpoint(folder_));
  EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/true), fs::canonical(step_folder(10)));
  EXPECT_FALSE(has_checkpoint(folder_ / "checkpoints"));
}

TEST_F(CheckpointTest, LinkToNothingIsNotTakenForAnEmptyFolder) {
  save(3);
  fs::remove_all(step_folder(3));
  try {
    find_checkpoint(folder_, /*prefer_best=*/false);
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("points to step-3"), std::string::npos) << error.what();
  }
}

/// Files of this process can't grow beyond so many bytes: writes fail as on a full disk, behind the first ones.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{.rlim_cur = bytes, .rlim_max = before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST_F(CheckpointTest, FullDiskLeavesTheEarlierOnesAndNoHalf) {
  save(1, /*best=*/true);
  for (const rlim_t bytes : {rlim_t{0}, rlim_t{20'000}}) {
    const FileSizeLimit limit(bytes);
    try {
      save(2, /*best=*/true);
      ADD_FAILURE() << "nothing was thrown with " << bytes << " bytes";
    } catch (const core::Error& error) {
      EXPECT_NE(std::string(error.what()).find("model.safetensors: File too large"), std::string::npos) << error.what();
    }
    EXPECT_EQ(unfinished(), 0);
    EXPECT_FALSE(fs::exists(step_folder(2)));
    EXPECT_NO_THROW(load_predictor(find_checkpoint(folder_, /*prefer_best=*/true), c10::kCPU));
    EXPECT_EQ(find_checkpoint(folder_, /*prefer_best=*/false), fs::canonical(step_folder(1)));
  }
}

TEST_F(CheckpointTest, StepNumbersAreComparedAsNumbers) {
  for (const int64_t step : {9, 10, 11}) save(step);
  EXPECT_FALSE(fs::exists(step_folder(9)));
  EXPECT_TRUE(fs::exists(step_folder(10)));
}

TEST_F(CheckpointTest, NoCheckpointAndDamagedStateAreErrors) {
  EXPECT_THROW(find_checkpoint(folder_, true), core::Error);
  save(1);
  const std::string deep = R"({"format": 2, "config": )" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
  for (const auto& text : {std::string(R"({"format": 1)"), std::string("[]"), deep}) {
    core::write_file_atomically(step_folder(1) / "state.json", text);
    EXPECT_THROW(read_state(step_folder(1)), core::Error) << text.substr(0, 20);
  }
}

TEST_F(CheckpointTest, CountsThatNoRunWritesAreErrors) {
  save(1);
  const auto file = step_folder(1) / "state.json";
  const auto good = core::parse_json(core::read_file(file), file.string());
  for (const char* key : {"step", "epoch", "batch", "best_step", "since_best"}) {
    for (const core::Json& value : {core::Json(-2), core::Json(uint64_t{1} << 63), core::Json(int64_t{1} << 40),
                                    core::Json(1e300), core::Json(1.5), core::Json("1"), core::Json()}) {
      auto bad = good;
      bad["progress"][key] = value;
      core::write_file_atomically(file, bad.dump());
      EXPECT_THROW(read_state(step_folder(1)), core::Error) << key << " = " << value.dump();
    }
  }
  core::write_file_atomically(file, good.dump());
  EXPECT_EQ(read_state(step_folder(1)).progress.step, 1);
}

TEST_F(CheckpointTest, UnwritableFolderIsOneClearError) {
  core::write_file_atomically(folder_ / "checkpoints", "a file where the folder should be");
  EXPECT_THROW(save(1), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
