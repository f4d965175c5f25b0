#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/run_log.h"
#include "data/lines.h"
#include "data/weights.h"

namespace codmoe::apps {

namespace fs = std::filesystem;
using core::Json;

namespace {

/// The scores of the validation after `step` on one line; empty where there was none.
std::string scores_at(const fs::path& run, int64_t step) {
  std::vector<std::string> scores;
  const auto all = engine::validation_scores(run, step);
  for (const auto& [name, value] : all.items()) {
    if (value.is_number()) scores.push_back(fmt::format("{} {:.4f}", plain(name), value.get<double>()));
  }
  return fmt::format("{}", fmt::join(scores, ", "));
}

/// An option as a checkpoint's configuration has it, "?" where it lacks it: versions differ.
std::string option(const Json& config, const char* pointer) {
  const Json::json_pointer path(pointer);
  if (!config.contains(path)) return "?";
  const auto& value = config.at(path);
  if (value.is_string()) return plain(value.get<std::string>());
  if (!value.is_array()) return value.dump();
  std::vector<std::string> items;
  for (const auto& item : value) items.push_back(plain(item.is_string() ? item.get<std::string>() : item.dump()));
  return fmt::format("{}", fmt::join(items, ", "));
}

void print_config(const Json& config) {
  print_line("backbone", option(config, "/backbone/name"));
  print_line("moe",
             fmt::format("{}; top {}, routing {}, at strides {}", option(config, "/moe/experts"),
                         option(config, "/moe/top_k"), option(config, "/moe/routing"), option(config, "/moe_strides")));
  print_line("precision", option(config, "/engine/precision"));
  print_line("input", option(config, "/data/loader/size") + " pixels a side");
}

void print_progress(const fs::path& step_folder, const engine::Progress& progress) {
  print_line("step", fmt::format("{}, after {} epochs{}", progress.step, progress.epoch,
                                 progress.batch > 0 ? fmt::format(" and {} batches", progress.batch) : ""));
  const auto scores = scores_at(step_folder.parent_path().parent_path(), progress.step);
  print_line("validation", scores.empty() ? "none after this step" : scores);
  if (progress.best_step >= 0) {
    print_line("best", fmt::format("{} {:.4f}, after step {}", plain(progress.best_metric), progress.best_score,
                                   progress.best_step));
  }
}

}  // namespace

bool is_checkpoint(const fs::path& folder) {
  return fs::exists(folder / "state.json") || fs::exists(folder / "checkpoints");
}

void describe_checkpoint(const fs::path& folder) {
  const auto step_folder = engine::find_checkpoint(folder, /*prefer_best=*/true);
  const auto saved = engine::read_state(step_folder);
  fmt::print("{}: checkpoint {}\n", folder.string(), step_folder.string());
  print_progress(step_folder, saved.progress);
  print_config(saved.config);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(step_folder)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  for (const auto& file : files) {
    fmt::print("\n");
    describe_weights(file);
  }
}

}  // namespace codmoe::apps
