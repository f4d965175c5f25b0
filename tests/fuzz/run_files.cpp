#include "codmoe/core/files.h"
#include "codmoe/core/options_json.h"
#include "codmoe/data/synth.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/run_log.h"
#include "codmoe/engine/seed_scores.h"
#include "fuzz/readers.h"
#include "report/other_scores.h"
#include "support/temporary_folder.h"

namespace codmoe::fuzz {

namespace {

namespace fs = std::filesystem;
using core::Json;

/// The file alone in a folder, under the name that its reader looks for.
fs::path alone(const fs::path& file, const char* name) {
  static const test::TemporaryFolder folder;
  for (const auto& entry : fs::directory_iterator(folder.path())) fs::remove_all(entry);
  fs::copy_file(file, folder / name);
  return folder;
}

std::vector<std::string> states() {
  const Json progress = {{"step", 120},       {"epoch", 3},      {"batch", 7},      {"best_metric", "Smeasure"},
                         {"best_score", 0.5}, {"best_step", 80}, {"since_best", 1}, {"unvalidated", true}};
  const Json state = {{"format", 2},
                      {"progress", progress},
                      {"data_fingerprint", "0123abcd"},
                      {"config", core::write_options(data::SynthOptions{})}};
  return {state.dump(2), state.dump(), R"({"format": 2, "progress": {"step": -1, "best_score": null}, "config": []})"};
}

/// As a resumed run, and whoever reads the options out of a checkpoint.
void read_saved_state(const fs::path& file) {
  const auto state = engine::read_state(alone(file, "state.json"));
  data::SynthOptions options;
  core::read_options(state.config, {{"", {"state.json", {}}}}, options);
}

const std::vector<std::string> logs{
    R"({"step": 10, "epoch": 1, "lr": 1e-3, "loss": {"total": 0.5, "edge": 0.25}, "moe": {"0": {"load": [0.5, 0.5]}}})"
    "\n"
    R"({"step": 10, "epoch": 1, "val": {"IoU": 0.5, "MAE": 0.1}, "val_resolution": "network"})"
    "\n"
    R"({"step": 20, "epoch": 1, "val": {"IoU": 0.25, "MAE": 0.2}})"
    "\n",
    R"({"step": 20, "val": {"IoU": null}})"
    "\n{\"step\": 2"};

/// As a resumed run does, and the report of several seeds.
void read_log(const fs::path& file) {
  const auto folder = alone(file, "metrics.jsonl");
  const engine::RunLog log(folder, {.step = 20, .epoch = 2, .unvalidated = true});
  const std::vector<engine::SeedScores> runs{{.seed = 1, .step = 20, .scores = engine::validation_scores(folder, 20)},
                                             {.seed = 2, .step = 10, .scores = engine::validation_scores(folder, 10)}};
  engine::seeds_json(runs).dump(2);
  engine::seeds_table(runs);
}

const std::vector<std::string> scores{
    "run,dataset,name,height,width,foreground,Smeasure,wFmeasure\n"
    "now,CAMO,a,9,7,20,0.5,0.25\nnow,CAMO,\"b, \"\"c\"\"\",9,7,0,nan,1e-3\n",
    "wFmeasure,Smeasure,name,dataset,run\r\n-inf,0x1p3,\"a\nb\",,\r\n"};

/// As `codmoe-eval --against` does.
void read_other_scores(const fs::path& file) {
  const std::vector<std::string> columns{"Smeasure", "wFmeasure"};
  report::read_scores(file, columns);
}

}  // namespace

std::vector<FuzzedReader> run_file_readers() {
  return {{"state", states(), read_saved_state}, {"metrics", logs, read_log}, {"against", scores, read_other_scores}};
}

}  // namespace codmoe::fuzz
