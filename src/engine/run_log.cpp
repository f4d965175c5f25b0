#include "codmoe/engine/run_log.h"

#include <fmt/format.h>

#include <sstream>

#include "codmoe/core/files.h"

namespace codmoe::engine {

namespace {

using core::Json;

/// The whole lines up to `step`; a line that a crash cut short is dropped.
std::string lines_up_to(const std::filesystem::path& file, int64_t step) {
  std::istringstream all(core::read_file(file));
  std::string kept;
  for (std::string line; std::getline(all, line);) {
    const auto parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_object() && parsed.value("step", int64_t{0}) <= step) kept += line + "\n";
  }
  return kept;
}

void add_scalars(const Json& object, const std::string& prefix, std::vector<tfevents::Scalar>& found) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) add_scalars(value, prefix + key + "/", found);
    if (value.is_number()) found.push_back({prefix + key, value.get<double>()});
  }
}

}  // namespace

std::vector<tfevents::Scalar> scalars(const Json& line) {
  auto train = Json::object(), others = Json::object();
  for (const auto& [key, value] : line.items()) {
    if (key != "step" && key != "epoch") (value.is_object() ? others : train)[key] = value;
  }
  std::vector<tfevents::Scalar> found;
  add_scalars(train, "train/", found);
  add_scalars(others, "", found);
  return found;
}

RunLog::RunLog(const std::filesystem::path& folder, int64_t step)
    : file_(folder / "metrics.jsonl"), events_(folder, step) {
  if (std::filesystem::exists(file_)) core::write_file_atomically(file_, lines_up_to(file_, step));
  stream_.open(file_, std::ios::app);
}

void RunLog::write(const Json& line) {
  stream_ << line.dump() << std::endl;
  if (!stream_) throw core::Error(fmt::format("cannot write {}", file_.string()));
  events_.write(line.at("step"), scalars(line));
}

}  // namespace codmoe::engine
