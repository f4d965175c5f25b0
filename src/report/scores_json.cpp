#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "codmoe/report/expert_load.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/groups.h"
#include "score_rows.h"

namespace codmoe::report {
namespace {

template <class IsShown>
core::Json summary_json(const metrics::Summary& summary, const IsShown& is_shown) {
  core::Json json{{"n", summary.n}};
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (is_shown(column)) json[column.name] = summary.values[i];
  }
  return json;
}

core::Json intervals_json(const DatasetResult& dataset) {
  const std::vector<Interval>& intervals = dataset.intervals();
  core::Json json;
  for (std::size_t k = 0; k < intervals.size(); ++k) {
    json[metrics::columns()[headline_columns()[k]].name] = {intervals[k].low, intervals[k].high};
  }
  return json;
}

core::Json groups_json(const DatasetResult& dataset) {
  core::Json json;
  for (const GroupScores& scores : scores_by_group(dataset)) {
    json[std::string(scores.grouping)][std::string(scores.group)] =
        summary_json(scores.summary, [](const metrics::Column& column) { return column.headline; });
  }
  return json;
}

core::Json group_conventions_json() {
  core::Json json;
  for (const Grouping& grouping : groupings()) json[std::string(grouping.name)] = grouping.convention;
  return json;
}

core::Json loads_json(const DatasetResult& dataset, const std::vector<ExpertLayer>& layers) {
  auto json = core::Json::object();
  for (std::size_t i = 0; i < layers.size(); ++i) {
    for (const ExpertLoad& group : expert_loads(dataset, i)) {
      auto& entry = json[layers[i].name][group.group] = {{"n", group.n}};
      for (std::size_t e = 0; e < group.load.size(); ++e) entry["load"][layers[i].experts[e]] = group.load[e];
    }
  }
  return json;
}

core::Json run_json(const Evaluation& evaluation) {
  core::Json json{{"datasets", core::Json::object()}};
  if (!evaluation.test_time().empty()) json["test_time_augmentation"] = evaluation.test_time();
  for (const DatasetResult& dataset : evaluation.datasets()) {
    json["datasets"][dataset.name()] = summary_json(
        dataset.summary(), [&](const metrics::Column& column) { return column.is_scored(evaluation.options().score); });
    json["intervals"][dataset.name()] = intervals_json(dataset);
    json["groups"][dataset.name()] = groups_json(dataset);
    const auto [masks, predictions] = checksums(dataset);
    json["inputs"][dataset.name()] = {{"masks", masks}, {"predictions", predictions}};
    if (const auto loads = loads_json(dataset, evaluation.layers()); !loads.empty()) {
      json["experts"][dataset.name()] = loads;
    }
    if (const auto notes = dataset.notes(); !notes.empty()) json["notes"][dataset.name()] = notes;
  }
  return json;
}

}  // namespace

core::Json to_json(std::span<const Evaluation> runs) {
  core::Json json;
  if (runs.size() == 1) {
    json = run_json(runs.front());
  } else {
    json["runs"] = core::Json::object();
    for (const Evaluation& evaluation : runs) json["runs"][evaluation.run()] = run_json(evaluation);
  }
  if (runs.empty()) return json;
  json["conventions"] = conventions(runs);
  json["group_conventions"] = group_conventions_json();
  return json;
}

void write_json(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_json(runs).dump(2, ' ', false, core::Json::error_handler_t::replace) + '\n');
}

}  // namespace codmoe::report
