#include "codmoe/engine/run_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "codmoe/core/files.h"

namespace codmoe::engine {

namespace {

using core::Json;

/// The whole lines up to `progress`; a line that a crash cut short is dropped.
std::string lines_up_to(const std::filesystem::path& file, const Progress& progress) {
  std::istringstream all(core::read_file(file));
  std::string kept;
  for (std::string line; std::getline(all, line);) {
    const auto parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!parsed.is_object()) continue;
    const auto epoch = parsed.value("epoch", int64_t{0});
    const bool later = parsed.value("step", int64_t{0}) > progress.step || epoch > progress.epoch;
    const bool repeated = progress.unvalidated && epoch == progress.epoch && parsed.contains("val");
    if (!later && !repeated) kept += line + "\n";
  }
  return kept;
}

void add_scalars(const Json& object, const std::string& prefix, std::vector<tfevents::Scalar>& found) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_scalars(value, prefix + key + "/", found);
    if (value.is_number()) found.push_back({prefix + key, value.get<double>()});
  }
}

std::string group_of(const std::string& key, const Json& line) {
  const auto resolution = line.value("val_resolution", "original");
  return key == "val" && resolution != "original" ? "val_" + resolution : key;
}

}  // namespace

std::vector<tfevents::Scalar> scalars(const Json& line) {
  auto train = Json::object(), others = Json::object();
  for (const auto& [key, value] : line.items()) {
    if (key != "step" && key != "epoch") (value.is_object() ? others : train)[group_of(key, line)] = value;
  }
  std::vector<tfevents::Scalar> found;
  add_scalars(train, "train/", found);
  add_scalars(others, "", found);
  return found;
}

RunLog::RunLog(const std::filesystem::path& folder, const Progress& progress)
    : file_(folder / "metrics.jsonl"), events_(folder, progress.step) {
  if (std::filesystem::exists(file_)) core::write_file_atomically(file_, lines_up_to(file_, progress));
  stream_.open(file_, std::ios::app);
}

void RunLog::write(const Json& line) {
  stream_ << line.dump() << std::endl;
  if (!stream_) throw core::Error(fmt::format("cannot write {}: {}", file_.string(), std::strerror(errno)));
  events_.write(line.at("step"), scalars(line));
}

Json validation_scores(const std::filesystem::path& run_folder, int64_t step) {
  std::ifstream stream(run_folder / "metrics.jsonl");
  auto scores = Json::object();
  for (std::string line; std::getline(stream, line);) {
    const auto json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || json.value("/step"_json_pointer, Json()) != step) continue;
    if (json.contains("val") && json["val"].is_object()) scores = json["val"];
  }
  return scores;
}

}  // namespace codmoe::engine
