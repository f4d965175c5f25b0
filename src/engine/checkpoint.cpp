#include "codmoe/engine/checkpoint.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "codmoe/core/files.h"
#include "codmoe/nn/weights.h"
#include "random_state.h"

namespace codmoe::engine {

namespace {

namespace fs = std::filesystem;
using core::Json;

constexpr int kFormat = 1;
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

/// Replaces a relative link by a rename, which readers see as one change.
void point_link(const fs::path& link, const fs::path& target_name) {
  auto beside = link;
  beside += fmt::format(".tmp-{}", ::getpid());
  fs::remove(beside);
  fs::create_directory_symlink(target_name, beside);
  fs::rename(beside, link);
  core::sync_folder(link.parent_path());
}

Json to_json(const Progress& progress) {
  return {{"step", progress.step},
          {"epoch", progress.epoch},
          {"batch", progress.batch},
          {"best_iou", progress.best_iou},
          {"best_step", progress.best_step}};
}

}  // namespace

fs::path CheckpointStore::write_step(const torch::nn::Module& model, const Optimizer& optimizer,
                                     const WeightAverage* average, const Json& state) const {
  const auto target = folder_ / fmt::format("{}{}", kPrefix, state["progress"]["step"].get<int64_t>());
  auto beside = target;
  beside += fmt::format(".tmp-{}", ::getpid());
  fs::remove_all(beside);
  fs::create_directories(beside);
  auto optimizer_state = optimizer.state();
  optimizer_state.merge(random_state());
  core::save_safetensors(beside / "model.safetensors", nn::state_dict(model));
  core::save_safetensors(beside / "optimizer.safetensors", optimizer_state);
  if (average != nullptr) core::save_safetensors(beside / kAverageFile, average->state());
  core::write_file_atomically(beside / "state.json", state.dump(2) + "\n");
  fs::remove_all(target);  // a run resumed from before this step writes it again
  fs::rename(beside, target);
  core::sync_folder(folder_);
  return target;
}

void CheckpointStore::save(const torch::nn::Module& model, const Optimizer& optimizer, const WeightAverage* average,
                           const Progress& progress, const Json& config, const std::string& data_fingerprint, bool best,
                           int64_t keep_last) const {
  const Json state = {
      {"format", kFormat}, {"progress", to_json(progress)}, {"data_fingerprint", data_fingerprint}, {"config", config}};
  try {
    const auto target = write_step(model, optimizer, average, state);
    point_link(folder_ / "last", target.filename());
    if (best) point_link(folder_ / "best", target.filename());
    prune(keep_last);
  } catch (const fs::filesystem_error& error) {
    throw core::Error(fmt::format("cannot save a checkpoint in {}: {}", folder_.string(), error.code().message()));
  }
}

void CheckpointStore::prune(int64_t keep_last) const {
  std::vector<fs::path> steps;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (!entry.is_symlink() && step_number(entry.path()) >= 0) steps.push_back(entry.path());
  }
  std::ranges::sort(steps, std::greater{}, step_number);
  const auto best = fs::is_symlink(folder_ / "best") ? fs::read_symlink(folder_ / "best") : fs::path();
  for (std::size_t i = static_cast<std::size_t>(keep_last); i < steps.size(); ++i) {
    if (steps[i].filename() != best) fs::remove_all(steps[i]);
  }
}

fs::path find_checkpoint(const fs::path& path, bool prefer_best) {
  for (const auto& candidate :
       {path / "checkpoints" / (prefer_best ? "best" : "last"), path / "checkpoints" / "last", path}) {
    if (fs::exists(candidate / "state.json")) return fs::canonical(candidate);
  }
  throw core::Error(
      fmt::format("{} holds no checkpoint: it must be a run folder with checkpoints/last, or a step folder "
                  "with state.json",
                  path.string()));
}

fs::path best_weights(const fs::path& step_folder) {
  const auto average = step_folder / kAverageFile;
  return fs::exists(average) ? average : step_folder / "model.safetensors";
}

SavedState read_state(const fs::path& step_folder) {
  const auto file = step_folder / "state.json";
  try {
    const auto state = Json::parse(core::read_file(file));
    if (state.at("format").get<int>() != kFormat) {
      throw core::Error(
          fmt::format("{}: is of format {}; this program reads {}", file.string(), state.at("format").dump(), kFormat));
    }
    const auto& progress = state.at("progress");
    return {.progress = {.step = progress.at("step"),
                         .epoch = progress.at("epoch"),
                         .batch = progress.at("batch"),
                         .best_iou = progress.at("best_iou"),
                         .best_step = progress.at("best_step")},
            .config = state.at("config"),
            .data_fingerprint = state.at("data_fingerprint")};
  } catch (const Json::exception& error) {
    throw core::Error(fmt::format("{}: is damaged: {}", file.string(), error.what()));
  }
}

void restore_optimizer(const fs::path& step_folder, Optimizer& optimizer) {
  auto tensors = core::load_safetensors(step_folder / "optimizer.safetensors").tensors;
  core::TensorMap random;
  for (const auto* key : {"rng.cpu", "rng.cuda"}) {
    if (auto node = tensors.extract(key)) random.insert(std::move(node));
  }
  optimizer.load_state(tensors);
  restore_random_state(random);
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
