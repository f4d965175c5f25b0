#include "codmoe/engine/checkpoint.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>

#include "codmoe/core/files.h"
#include "codmoe/nn/weights.h"
#include "random_state.h"
#include "saved_state.h"

namespace codmoe::engine {

namespace {

namespace fs = std::filesystem;
using core::Json;

constexpr std::string_view kPrefix = "step-";
constexpr auto kAverageFile = "ema.safetensors";

/// N of a folder named step-N, or -1.
int64_t step_number(const fs::path& folder) {
  const auto name = folder.filename().string();
  const auto digits = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : "";
  const bool number =
      !digits.empty() && digits.size() < 19 && digits.find_first_not_of("0123456789") == std::string::npos;
  return number ? std::stoll(digits) : -1;
}

fs::path beside(const fs::path& path) {
  auto name = path;
  return name += fmt::format(".tmp-{}", ::getpid());
}

/// Replaces a relative link by a rename, which readers see as one change.
void point_link(const fs::path& link, const fs::path& target_name) {
  const auto fresh = beside(link);
  fs::remove(fresh);
  fs::create_directory_symlink(target_name, fresh);
  fs::rename(fresh, link);
  core::sync_folder(link.parent_path());
}

Json to_json(const Progress& progress) {
  return {{"step", progress.step},
          {"epoch", progress.epoch},
          {"batch", progress.batch},
          {"best_metric", progress.best_metric},
          {"best_score", progress.best_score},
          {"best_step", progress.best_step},
          {"since_best", progress.since_best},
          {"unvalidated", progress.unvalidated}};
}

/// Takes a folder away in one change, then removes it.
void remove_folder(const fs::path& folder) {
  fs::rename(folder, beside(folder));
  fs::remove_all(beside(folder));
}

/// Renames `fresh` to `target`. A run resumed from before this step finds it there, and `last` may point to it: both
/// change places in one step. File systems without that (NFS) show readers neither for a moment.
void put_in_place(const fs::path& fresh, const fs::path& target) {
  if (!fs::exists(target)) {
    fs::rename(fresh, target);
  } else if (::renameat2(AT_FDCWD, fresh.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) {
    fs::remove_all(fresh);
  } else {
    auto old = fresh;
    old += "-old";
    fs::rename(target, old);
    fs::rename(fresh, target);
    fs::remove_all(old);
  }
}

}  // namespace

core::TensorMap training_state(const Optimizer& optimizer, const Ranks& ranks) {
  auto state = optimizer.state();
  state.merge(random_state(optimizer.device(), ranks));
  return state;
}

fs::path CheckpointStore::step_folder(int64_t step) const { return folder_ / fmt::format("{}{}", kPrefix, step); }

fs::path CheckpointStore::write_step(const torch::nn::Module& model, const core::TensorMap& training_state,
                                     const WeightAverage* average, const Json& state) const {
  const auto target = step_folder(state["progress"]["step"].get<int64_t>());
  const auto fresh = beside(target);
  fs::remove_all(fresh);
  fs::create_directories(fresh);
  try {
    core::save_safetensors(fresh / "model.safetensors", nn::state_dict(model));
    core::save_safetensors(fresh / "optimizer.safetensors", training_state);
    if (average != nullptr) core::save_safetensors(fresh / kAverageFile, average->state());
    core::write_file_atomically(fresh / "state.json", state.dump(2) + "\n");
    put_in_place(fresh, target);
  } catch (...) {  // a full disk gets its space back
    std::error_code ignored;
    fs::remove_all(fresh, ignored);
    throw;
  }
  core::sync_folder(folder_);
  return target;
}

void CheckpointStore::save(const torch::nn::Module& model, const core::TensorMap& training_state,
                           const WeightAverage* average, const Progress& progress, const Json& config,
                           const std::string& data_fingerprint, int64_t keep_last) const {
  const Json state = {{"format", state_format},
                      {"progress", to_json(progress)},
                      {"data_fingerprint", data_fingerprint},
                      {"config", config}};
  try {
    const auto target = write_step(model, training_state, average, state);
    point_link(folder_ / "last", target.filename());
    prune(keep_last);
  } catch (const fs::filesystem_error& error) {
    throw core::Error(fmt::format("cannot save a checkpoint in {}: {}", folder_.string(), error.code().message()));
  }
}

void CheckpointStore::note_validation(const Progress& progress, bool best, int64_t keep_last) const {
  const auto target = step_folder(progress.step);
  auto state = core::parse_json(core::read_file(target / "state.json"), target / "state.json");
  state["progress"] = to_json(progress);
  try {
    core::write_file_atomically(target / "state.json", state.dump(2) + "\n");
    if (best) point_link(folder_ / "best", target.filename());  // a run killed before it finds its best in `last`
    prune(keep_last);
  } catch (const fs::filesystem_error& error) {
    throw core::Error(fmt::format("cannot write in {}: {}", folder_.string(), error.code().message()));
  }
}

namespace {

std::vector<fs::path> step_folders(const fs::path& checkpoints) {
  std::vector<fs::path> steps;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    if (!entry.is_symlink() && step_number(entry.path()) >= 0) steps.push_back(entry.path());
  }
  std::ranges::sort(steps, std::greater{}, step_number);
  return steps;
}

}  // namespace

void CheckpointStore::prune(int64_t keep_last) const {
  const auto steps = step_folders(folder_);
  const auto best = fs::is_symlink(folder_ / "best") ? fs::read_symlink(folder_ / "best") : fs::path();
  for (std::size_t i = static_cast<std::size_t>(keep_last); i < steps.size(); ++i) {
    if (steps[i].filename() != best) remove_folder(steps[i]);
  }
}

bool CheckpointStore::has(int64_t step) const { return fs::exists(step_folder(step) / "state.json"); }

void CheckpointStore::point_or_remove(const char* link, int64_t step) const {
  if (has(step)) {
    point_link(folder_ / link, step_folder(step).filename());
  } else {
    fs::remove(folder_ / link);
  }
}

void CheckpointStore::rewind_to(const Progress& progress) const {
  if (!fs::exists(folder_)) return;
  try {
    point_or_remove("last", progress.step);
    point_or_remove("best", progress.best_step);
    for (const auto& step : step_folders(folder_)) {
      if (step_number(step) > progress.step) {
        remove_folder(step);
      } else {
        core::remove_unfinished(step);
      }
    }
    core::remove_unfinished(folder_);
  } catch (const fs::filesystem_error& error) {
    throw core::Error(fmt::format("cannot write in {}: {}", folder_.string(), error.code().message()));
  }
}

bool has_checkpoint(const fs::path& run_folder) {
  const auto folder = run_folder / "checkpoints";
  return fs::is_directory(folder) && (fs::is_symlink(folder / "last") || !step_folders(folder).empty());
}

fs::path find_checkpoint(const fs::path& path, bool prefer_best) {
  const auto folder = path / "checkpoints";
  for (const auto& candidate : {folder / (prefer_best ? "best" : "last"), folder / "last", path}) {
    if (fs::exists(candidate / "state.json")) return fs::canonical(candidate);
  }
  if (const auto last = folder / "last"; fs::is_symlink(last)) {
    throw core::Error(fmt::format("{} points to {}, which is no whole step folder; name another one", last.string(),
                                  fs::read_symlink(last).string()));
  }
  if (has_checkpoint(path)) return fs::canonical(step_folders(folder).front());
  throw core::Error(
      fmt::format("{} holds no checkpoint: it must be a run folder with checkpoints/last, or a step folder "
                  "with state.json",
                  path.string()));
}

fs::path step_weights(const fs::path& step_folder) {
  const auto average = step_folder / kAverageFile;
  return fs::exists(average) ? average : step_folder / "model.safetensors";
}

void restore_training_state(const fs::path& step_folder, Optimizer& optimizer, const Ranks& ranks, uint64_t seed) {
  auto tensors = core::load_safetensors(step_folder / "optimizer.safetensors").tensors;
  restore_random_state(tensors, optimizer.device(), ranks, seed);
  optimizer.load_state(tensors);
}

void restore_average(const fs::path& step_folder, WeightAverage* average) {
  const auto file = step_folder / kAverageFile;
  if (fs::exists(file) != (average != nullptr)) {
    throw core::Error(
        average == nullptr
            ? fmt::format("{}: the run kept an average of its weights; set engine.ema.decay as it was", file.string())
            : fmt::format("{}: is not there: the run kept no average of its weights; set "
                          "engine.ema.decay=0",
                          file.string()));
  }
  if (average != nullptr) average->load(core::load_safetensors(file).tensors, file.string());
}

}  // namespace codmoe::engine
