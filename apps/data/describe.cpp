#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <vector>

#include "codmoe/backbone/weights.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/nn/inventory.h"
#include "data/weights.h"

namespace codmoe::apps {

namespace fs = std::filesystem;

namespace {

using core::Json;

void print_line(const char* what, const std::string& text) { fmt::print("{:11} {}\n", what, text); }

std::string size_text(int64_t bytes) {
  const auto amount = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  return bytes < 1'000'000 ? fmt::format("{:.1f} kB", amount / 1e3) : fmt::format("{:.1f} MB", amount / 1e6);
}

/// Text of strangers on one line: what would move a terminal's cursor is replaced.
std::string plain(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return text;
}

std::vector<std::string> plain(std::vector<std::string> texts) {
  for (auto& text : texts) text = plain(std::move(text));
  return texts;
}

/// The tensors of a detector's backbone without their prefix; all tensors where there is no detector.
core::TensorMap backbone_part(const core::TensorMap& tensors) {
  constexpr std::string_view prefix = "backbone.";
  core::TensorMap part;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) part[name.substr(prefix.size())] = tensor;
  }
  return part.empty() ? tensors : part;
}

std::string kind_of(const core::TensorMap& tensors, bool fits) {
  const auto has = [&](const std::string& prefix) {
    const auto next = tensors.lower_bound(prefix);
    return next != tensors.end() && next->first.starts_with(prefix);
  };
  if (has("backbone.") && has("decoder.")) return "weights of a detector";
  if (has("exp_avg.") && has("exp_avg_sq.")) return "state of an optimizer";
  return fits ? "weights of a backbone" : "tensors";
}

void print_parts(const std::vector<nn::Part>& parts) {
  const auto indented = [](const nn::Part& part) {
    return part.depth == 0 ? "all"
                           : std::string(static_cast<std::size_t>(2 * (part.depth - 1)), ' ') + plain(part.name);
  };
  std::size_t width = 4;
  for (const auto& part : parts) width = std::max(width, indented(part).size());
  fmt::print("{:{}} {:>8} {:>12} {:>10}\n", "part", width, "tensors", "values", "size");
  for (const auto& part : parts) {
    fmt::print("{:{}} {:8} {:12} {:>10}\n", indented(part), width, part.tensors, part.values, size_text(part.bytes));
  }
}

std::string dtypes_text(const core::TensorMap& tensors) {
  std::vector<std::string> counts;
  for (const auto& [dtype, count] : nn::count_dtypes(tensors)) counts.push_back(fmt::format("{} ({})", dtype, count));
  return fmt::format("{}", fmt::join(counts, ", "));
}

/// What no reader of weights wants to find, named.
void print_nonfinite(const core::TensorMap& tensors) {
  const auto names = plain(nn::find_nonfinite(tensors));
  print_line("not finite", names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
}

/// The scores of the validation after `step`, from the run's metrics.jsonl; empty where there was none.
std::string scores_at(const fs::path& run, int64_t step) {
  std::ifstream stream(run / "metrics.jsonl");
  std::vector<std::string> scores;
  for (std::string line; std::getline(stream, line);) {
    const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || json.value("/step"_json_pointer, Json()) != step || !json.contains("val")) continue;
    scores.clear();
    for (const auto& [name, value] : json["val"].items()) {
      if (value.is_number()) scores.push_back(fmt::format("{} {:.4f}", plain(name), value.get<double>()));
    }
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
    print_line("best", fmt::format("IoU {:.4f}, after step {}", progress.best_iou, progress.best_step));
  }
}

}  // namespace

bool is_checkpoint(const fs::path& folder) {
  return fs::exists(folder / "state.json") || fs::exists(folder / "checkpoints");
}

void describe_weights(const fs::path& file) {
  const auto [tensors, metadata] = core::load_safetensors(file);
  const auto known = backbone::fitting_backbones(backbone_part(tensors));
  const auto kind = kind_of(tensors, !known.empty());
  fmt::print("{}: {}\n", file.string(), kind);
  const auto all = nn::list_parts(tensors, 0).front();
  print_line("holds", fmt::format("{} tensors of {} values, {}", all.tensors, all.values, size_text(all.bytes)));
  if (kind.starts_with("weights")) print_line("parameters", std::to_string(nn::count_parameters(tensors)));
  print_line("dtypes", dtypes_text(tensors));
  for (const auto& [key, value] : metadata) print_line("metadata", plain(key) + ": " + plain(value));
  print_line("fits", known.empty() ? "no backbone that codmoe has" : fmt::format("{}", fmt::join(known, ", ")));
  print_nonfinite(tensors);
  print_parts(nn::list_parts(tensors, kind == "weights of a detector" ? 2 : 1));
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
