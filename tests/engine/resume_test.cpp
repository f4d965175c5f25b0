// A run that was stopped and resumed ends with the weights of one left alone, bit for bit.
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <set>
#include <thread>

#include "codmoe/core/files.h"
#include "codmoe/engine/trainer.h"
#include "codmoe/nn/weights.h"
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

std::string last_file(const fs::path& folder, const std::string& name) {
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
void average_sgd(TrainOptions& options) {
  options.optimizer.name = "sgd";
  options.engine.ema = {.decay = 0.8, .warmup = true};
}
void lion_in_cycles(TrainOptions& options) {
  options.optimizer.name = "lion";
  options.schedule.curve = {.name = CurveName::restarts, .first_epochs = 1, .growth = 2};
  options.schedule.parts["backbone"] = {.name = CurveName::one_cycle};
  options.loss.edge = 0.5;
  options.loss.uncertainty.weight = 1;
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
void skip_a_damaged_file(TrainOptions& options) {
  std::ofstream(fs::directory_iterator(options.data.train.dir / "Imgs")->path()) << "no picture";
  options.data.on_error = data::OnError::skip;
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
  std::vector<std::string> files{"model.safetensors", "optimizer.safetensors"};
  if (options.engine.ema.decay > 0) files.emplace_back("ema.safetensors");
  for (const auto& name : files) {
    EXPECT_TRUE(last_file(folder / "alone", name) == last_file(folder / "stopped", name)) << name << " differs";
  }
  const auto model = core::load_safetensors(find_checkpoint(folder / "alone", false) / "model.safetensors").tensors;
  const auto bias = model.find("moe.0.router.selection_bias");
  const bool has_bias = GetParam().change == balance_by_bias;
  ASSERT_EQ(bias != model.end(), has_bias);
  if (!has_bias) return;
  EXPECT_GT(bias->second.abs().max().item<double>(), 0.015);  // it moved in several steps
}

INSTANTIATE_TEST_SUITE_P(
    All, ResumeOf,
    ::testing::Values(ResumeCase{"Plain", 5, [](auto&) {}}, ResumeCase{"SelectionBias", 5, balance_by_bias},
                      ResumeCase{"Frozen", 2, freeze_two_epochs}, ResumeCase{"ThawingByStages", 6, thaw_by_stages},
                      ResumeCase{"AveragedSgd", 5, average_sgd}, ResumeCase{"LionInCycles", 5, lion_in_cycles},
                      ResumeCase{"SkippingAFile", 5, skip_a_damaged_file},
                      ResumeCase{"Scales", 5, draw_scales_and_more},
                      ResumeCase{"StochasticDepth", 3, draw_and_recompute}),
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
  int epochs = 0, validations = 0;
  for (std::string line; std::getline(log, line);) {
    const auto entry = core::Json::parse(line);
    if (entry.contains("val")) {
      ++validations;
      EXPECT_EQ(entry["step"], 4 * validations);
      EXPECT_TRUE(entry["val"]["Smeasure"].is_number());
      EXPECT_TRUE(entry["val"]["IoU"].is_number());
    }
    if (!entry.contains("moe")) continue;
    ++epochs;
    const auto& layer = entry["moe"]["0"];
    EXPECT_EQ(layer["decisions"], 8);
    EXPECT_EQ(layer["load"].size(), options.model.moe.experts.size());
    EXPECT_TRUE(layer["load"]["frequency"].is_number());
  }
  EXPECT_EQ(epochs, 2);
  EXPECT_EQ(validations, 2);
}

TEST(Trainer, LogsGradientCoefficientsAndMemoryOfSteps) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 2, .warmup_epochs = 0.5};
  options.model.moe.balance = {.min = 0.25, .max = 0.75, .start = 0, .end = 1};
  train_alone(options, folder / "run");
  std::ifstream log(folder / "run" / "metrics.jsonl");
  std::vector<double> coefficients;
  for (std::string line; std::getline(log, line);) {
    const auto entry = core::Json::parse(line);
    if (!entry.contains("loss")) continue;
    EXPECT_GT(entry["grad_norm"].get<double>(), 0.0);
    EXPECT_EQ(entry["skipped"], 0);
    EXPECT_GT(entry["memory"]["host_mib"].get<int64_t>(), 50);
    coefficients.push_back(entry["balance_coefficient"]);
  }
  EXPECT_EQ(coefficients, (std::vector<double>{0.25, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75}));
}

TEST(Trainer, EndsWhenPatienceDoesAndStaysEnded) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.val.dir = options.data.train.dir;
  options.optimizer.lr = 1e-12;  // weights and statistics stand still, and with them every score
  options.model.backbone.freeze_epochs = 40;
  options.model.moe.norm = options.model.decoder.norm = nn::NormKind::group;
  options.schedule.epochs = 40;
  options.engine.save_every = 40;
  options.engine.best = "MAE";
  options.engine.patience = 2;
  train_alone(options, folder / "run");
  const auto last = read_state(find_checkpoint(folder / "run", false)).progress;
  EXPECT_EQ(last.since_best, 2);
  EXPECT_EQ(last.best_step, 4);
  EXPECT_EQ(last.step, 12);
  Trainer again(options, folder / "run", c10::kCPU);
  again.resume(find_checkpoint(folder / "run", false));
  again.run();
  EXPECT_EQ(again.progress().step, last.step);
}

TEST(Trainer, BeginsWithTheWeightsOfAnotherRun) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  train_alone(options, folder / "first");
  options.init.checkpoint = folder / "first";
  options.seed = 9;
  Trainer second(options, folder / "second", c10::kCPU);
  const auto weights = core::load_safetensors(find_checkpoint(folder / "first", false) / "model.safetensors").tensors;
  const auto begun = nn::state_dict(*second.model());
  for (const auto& [name, tensor] : weights) EXPECT_TRUE(tensor.equal(begun.at(name))) << name;
}

TEST(Trainer, VanishedDatasetIsNamedAndTheCheckpointStays) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.cache = data::Cache::none;
  options.schedule.epochs = 400;  // more than pass before the files are gone
  Trainer trainer(options, folder / "run", c10::kCPU);
  std::thread vanish([&] {
    while (!fs::exists(folder / "run" / "checkpoints" / "last"))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    fs::remove_all(folder / "data" / "Imgs");
  });
  try {
    trainer.run();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find((folder / "data" / "Imgs").string()), std::string::npos) << error.what();
  }
  vanish.join();
  EXPECT_NO_THROW(load_predictor(find_checkpoint(folder / "run", true), c10::kCPU));
}

/// The log's lines without what time and memory decide.
std::vector<core::Json> lines_of(const fs::path& run) {
  std::ifstream log(run / "metrics.jsonl");
  std::vector<core::Json> lines;
  for (std::string line; std::getline(log, line);) {
    auto& entry = lines.emplace_back(core::Json::parse(line));
    entry.erase("images_per_s");
    entry.erase("memory");
  }
  return lines;
}

TEST(Trainer, DatasetThatVanishesBeforeAValidationCostsNoTraining) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  data::write_synth(folder / "val", {.count = 3, .size = 64, .seed = 4});
  options.data.val.dir = folder / "val";
  options.schedule = {.epochs = 2, .warmup_epochs = 0.5};
  train_alone(options, folder / "alone");
  {
    Trainer trainer(options, folder / "run", c10::kCPU);
    fs::rename(folder / "val" / "Imgs", folder / "val" / "gone");
    EXPECT_THROW(trainer.run(), core::Error);
  }
  const auto saved = read_state(find_checkpoint(folder / "run", false)).progress;
  EXPECT_EQ(saved.epoch, 1);
  EXPECT_TRUE(saved.unvalidated);
  fs::rename(folder / "val" / "gone", folder / "val" / "Imgs");
  Trainer trainer(options, folder / "run", c10::kCPU);
  trainer.resume(find_checkpoint(folder / "run", false));
  trainer.run();
  for (const auto* name : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    EXPECT_TRUE(last_file(folder / "alone", name) == last_file(folder / "run", name)) << name << " differs";
  }
  EXPECT_EQ(fs::read_symlink(folder / "alone/checkpoints/best"), fs::read_symlink(folder / "run/checkpoints/best"));
  EXPECT_EQ(lines_of(folder / "alone"), lines_of(folder / "run"));
}

/// As a kill between the log's line of a validation and its checkpoint's leaves them.
TEST(Trainer, ValidationThatTheCheckpointDoesNotKnowIsRepeatedAndLoggedOnce) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.val.dir = options.data.train.dir;
  options.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  train_alone(options, folder / "run");
  const auto lines = lines_of(folder / "run");
  const auto step = find_checkpoint(folder / "run", false);
  const auto state = core::read_file(step / "state.json");
  auto before = core::Json::parse(state);
  before["progress"] = {{"step", 4},       {"epoch", 1},      {"batch", 0},      {"best_metric", ""},
                        {"best_score", 0}, {"best_step", -1}, {"since_best", 0}, {"unvalidated", true}};
  core::write_file_atomically(step / "state.json", before.dump(2));
  Trainer trainer(options, folder / "run", c10::kCPU);
  trainer.resume(step);
  trainer.run();
  EXPECT_EQ(core::read_file(step / "state.json"), state);
  EXPECT_EQ(find_checkpoint(folder / "run", /*prefer_best=*/true), step);
  EXPECT_EQ(lines_of(folder / "run"), lines);
}

TEST(Trainer, SecondOneInTheSameFolderIsRefused) {
  const test::TemporaryFolder folder;
  const auto options = testing::small_options(testing::small_dataset(folder));
  const Trainer first(options, folder / "run", c10::kCPU);
  EXPECT_THROW(Trainer(options, folder / "run", c10::kCPU), core::Error);
}

TEST(Trainer, LogsHowManySamplesWereReplaced) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.schedule = {.epochs = 2, .warmup_epochs = 0.5};
  skip_a_damaged_file(options);
  train_alone(options, folder / "run");
  std::ifstream log(folder / "run" / "metrics.jsonl");
  std::vector<int64_t> replaced;
  for (std::string line; std::getline(log, line);) {
    const auto entry = core::Json::parse(line);
    if (entry.contains("moe")) replaced.push_back(entry["replaced_samples"]);
  }
  EXPECT_EQ(replaced, (std::vector<int64_t>{1, 1}));
}

TEST(Resume, SamplesMayBeKeptElsewhere) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options(testing::small_dataset(folder));
  options.data.cache = data::Cache::ram;
  train_alone(options, folder / "alone");
  {
    Trainer trainer(options, folder / "stopped", c10::kCPU);
    const StopAtStep stop(folder / "stopped" / "metrics.jsonl", 5);
    EXPECT_THROW(trainer.run(), core::Interrupted);
  }
  options.data.cache = data::Cache::none;
  Trainer trainer(options, folder / "stopped", c10::kCPU);
  trainer.resume(find_checkpoint(folder / "stopped", /*prefer_best=*/false));
  trainer.run();
  EXPECT_TRUE(last_file(folder / "alone", "model.safetensors") == last_file(folder / "stopped", "model.safetensors"));
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
