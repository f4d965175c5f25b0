#include "saved_state.h"

#include <fmt/format.h>

#include "codmoe/core/files.h"
#include "codmoe/engine/checkpoint.h"

namespace codmoe::engine {

namespace {

using core::Json;

/// No run comes near it, and what is computed of two counts stays within 64 bits.
constexpr int64_t most_counted = int64_t{1} << 31;

int64_t count(const Json& progress, const char* key, int64_t least = 0) {
  const Json& value = progress.at(key);
  if (value.is_number_integer() && value >= least && value <= most_counted) return value.get<int64_t>();
  throw core::Error(
      fmt::format("{} is {}, must be a whole number from {} to {}", key, value.dump(), least, most_counted));
}

Progress to_progress(const Json& saved) {
  return {.step = count(saved, "step"),
          .epoch = count(saved, "epoch"),
          .batch = count(saved, "batch"),
          .best_metric = saved.at("best_metric"),
          .best_score = saved.at("best_score"),
          .best_step = count(saved, "best_step", -1),
          .since_best = count(saved, "since_best"),
          .unvalidated = saved.value("unvalidated", false)};
}

SavedState to_saved_state(const Json& state) {
  if (const Json& format = state.at("format"); format != state_format) {
    throw core::Error(fmt::format("is of format {}; this program reads {}", format.dump(), state_format));
  }
  return {.progress = to_progress(state.at("progress")),
          .config = state.at("config"),
          .data_fingerprint = state.at("data_fingerprint")};
}

}  // namespace

SavedState read_state(const std::filesystem::path& step_folder) {
  const auto file = step_folder / "state.json";
  const auto state = core::parse_json(core::read_file(file), file.string());
  try {
    return to_saved_state(state);
  } catch (const Json::exception& error) {
    throw core::Error(fmt::format("{}: is damaged: {}", file.string(), error.what()));
  } catch (const core::Error& error) {
    throw core::Error(fmt::format("{}: {}", file.string(), error.what()));
  }
}

}  // namespace codmoe::engine
