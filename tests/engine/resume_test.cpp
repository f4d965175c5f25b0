// A run that was stopped and resumed ends with the weights of one left alone, bit for bit.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "codmoe/core/files.h"
#include "codmoe/engine/trainer.h"
#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

/// Sends SIGTERM to this process as soon as the log has a line of step `step`.
class StopAtStep {
 public:
  StopAtStep(fs::path log, int64_t step) : thread_([this, log = std::move(log), step] { watch(log, step); }) {}
  ~StopAtStep() {
    done_ = true;
    thread_.join();
  }

 private:
  void watch(const fs::path& log, int64_t step) {
    const auto mark = "{\"step\":" + std::to_string(step) + ",";
    while (!done_) {
      if (fs::exists(log) && core::read_file(log).find(mark) != std::string::npos) {
        std::raise(SIGTERM);
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::atomic<bool> done_ = false;
  std::thread thread_;
};

void train_alone(const TrainOptions& options, const fs::path& folder) { Trainer(options, folder, c10::kCPU).run(); }

/// Trains until step `step`, then in a second Trainer to the end. Returns the step it stopped at.
int64_t train_interrupted(const TrainOptions& options, const fs::path& folder, int64_t step) {
  {
    Trainer trainer(options, folder, c10::kCPU);
    const StopAtStep stop(folder / "metrics.jsonl", step);
    EXPECT_THROW(trainer.run(), core::Interrupted);
  }
  const auto checkpoint = find_checkpoint(folder, /*prefer_best=*/false);
  Trainer trainer(options, folder, c10::kCPU);
  trainer.resume(checkpoint);
  const auto stopped_at = trainer.progress().step;
  trainer.run();
  return stopped_at;
}

std::string last_file(const fs::path& folder, const char* name) {
  return core::read_file(find_checkpoint(folder, /*prefer_best=*/false) / name);
}

/// What of a run must outlive its stop; 4 steps an epoch.
struct ResumeCase {
  const char* name;
  int64_t stop_at;
  void (*change)(TrainOptions&);
};
void PrintTo(const ResumeCase& tested, std::ostream* out) { *out << tested.name; }

void balance_by_bias(TrainOptions& options) {
  options.model.moe.routing = moe::RoutingKind::spatial;
  options.model.moe.balance = {.method = moe::BalanceMethod::bias, .rate = 0.01};
}
void freeze_two_epochs(TrainOptions& options) { options.model.backbone.freeze_epochs = 2; }
void thaw_by_stages(TrainOptions& options) {
  options.model.backbone.freeze_epochs = 1;
  options.model.backbone.unfreeze_every = 1;
}
void draw_and_recompute(TrainOptions& options) {
  options.engine.save_every = options.schedule.epochs = 2;
  options.model.backbone = {.name = "edgenext_xx_small", .drop_path = 0.5, .checkpoint = {4, 16}};
}
/// Groups of two batches of other sizes.
void draw_scales_and_more(TrainOptions& options) {
  options.data.loader.scales = {1.0, 1.5, 2.0};
  options.data.augment.paste = options.data.augment.erase = 0.5;
  options.data.augment.salt_pepper = 0.0015;
}

class ResumeOf : public ::testing::TestWithParam<ResumeCase> {};

TEST_P(ResumeOf, EndsWithTheSameBits) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  GetParam().change(options);
  train_alone(options, folder / "alone");
  const auto stopped_at = train_interrupted(options, folder / "stopped", GetParam().stop_at);
  EXPECT_GE(stopped_at, GetParam().stop_at);
  EXPECT_LT(stopped_at, 12);
  for (const auto* name : {"model.safetensors", "optimizer.safetensors"}) {
    EXPECT_TRUE(last_file(folder / "alone", name) == last_file(folder / "stopped", name)) << name << " differs";
  }
  const auto model = core::load_safetensors(find_checkpoint(folder / "alone", false) / "model.safetensors").tensors;
  const auto bias = model.find("moe.0.router.selection_bias");
  const bool has_bias = GetParam().change == balance_by_bias;
  ASSERT_EQ(bias != model.end(), has_bias);
  if (!has_bias) return;
  EXPECT_GT(bias->second.abs().max().item<double>(), 0.015);  // it moved in several steps
}

INSTANTIATE_TEST_SUITE_P(All, ResumeOf,
                         ::testing::Values(ResumeCase{"Plain", 5, [](auto&) {}},
                                           ResumeCase{"SelectionBias", 5, balance_by_bias},
                                           ResumeCase{"Frozen", 2, freeze_two_epochs},
                                           ResumeCase{"ThawingByStages", 6, thaw_by_stages},
                                           ResumeCase{"StochasticDepth", 3, draw_and_recompute},
                                           ResumeCase{"Scales", 5, draw_scales_and_more}),
                         [](const auto& which) { return which.param.name; });

TEST(Resume, LogHasEveryStepOnce) {
  const test::TemporaryFolder folder;
  const auto options = testing::small_options(testing::small_dataset(folder));
  train_interrupted(options, folder / "run", 3);
  std::ifstream log(folder / "run" / "metrics.jsonl");
  std::vector<int64_t> steps;
  for (std::string line; std::getline(log, line);) {
    const auto entry = core::Json::parse(line);
    if (entry.contains("loss")) steps.push_back(entry["step"]);
  }
  std::vector<int64_t> expected(12);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<int64_t>(i) + 1;
  EXPECT_EQ(steps, expected);
}

TEST(Resume, BeginsASecondEventFile) {
  const test::TemporaryFolder folder;
  const auto options = testing::small_options(testing::small_dataset(folder));
  const auto stopped_at = train_interrupted(options, folder / "run", 3);
  std::set<fs::path> events;
  for (const auto& entry : fs::directory_iterator(folder / "run")) {
    if (entry.path().filename().string().starts_with("events.out.tfevents.")) events.insert(entry.path());
  }
  ASSERT_EQ(events.size(), 2U);
  // Behind the framed version and the frame's head and wall time, all of fixed size.
  const auto start = tfevents::start_event(0, stopped_at + 1);
  const auto bytes = core::read_file(*events.rbegin());
  EXPECT_EQ(bytes.substr(tfevents::record(tfevents::version_event(0)).size() + 12 + 9, start.size() - 9),
            start.substr(9));
}

TEST(Trainer, LogsLoadsAndScoresOfEachEpoch) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.val.dir = options.data.train.dir;
  options.schedule = {.epochs = 2, .warmup_epochs = 0.5};
  train_alone(options, folder / "run");
  std::ifstream log(folder / "run" / "metrics.jsonl");
  int epochs = 0;
  for (std::string line; std::getline(log, line);) {
    const auto entry = core::Json::parse(line);
    if (!entry.contains("moe")) continue;
    ++epochs;
    const auto& layer = entry["moe"]["0"];
    EXPECT_EQ(layer["decisions"], 8);
    EXPECT_EQ(layer["load"].size(), options.model.moe.experts.size());
    EXPECT_TRUE(layer["load"]["frequency"].is_number());
    EXPECT_TRUE(entry["val"]["Smeasure"].is_number());
    EXPECT_TRUE(entry["val"]["IoU"].is_number());
  }
  EXPECT_EQ(epochs, 2);
}

TEST(Resume, RefusesAnotherTrainingSet) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  train_alone(options, folder / "run");
  data::write_synth(folder / "other", {.count = 7, .size = 64, .seed = 3});
  options.data.train.dir = folder / "other";
  Trainer trainer(options, folder / "run2", c10::kCPU);
  EXPECT_THROW(trainer.resume(find_checkpoint(folder / "run", false)), core::Error);
}

TEST(Resume, RefusesSamplesKeptElsewhereAndNamesThePlace) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  train_alone(options, folder / "run");  // auto: ram
  options.data.cache = data::Cache::none;
  Trainer trainer(options, folder / "run", c10::kCPU);
  try {
    trainer.resume(find_checkpoint(folder / "run", false));
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("set data.cache=ram"), std::string::npos) << error.what();
  }
}

TEST(Trainer, SameSeedSameWeightsOtherSeedOther) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  train_alone(options, folder / "a");
  train_alone(options, folder / "b");
  options.seed = 1;
  train_alone(options, folder / "c");
  EXPECT_TRUE(last_file(folder / "a", "model.safetensors") == last_file(folder / "b", "model.safetensors"));
  EXPECT_FALSE(last_file(folder / "a", "model.safetensors") == last_file(folder / "c", "model.safetensors"));
}

}  // namespace
}  // namespace codmoe::engine
