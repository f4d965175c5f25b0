#include "codmoe/report/formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "codmoe/report/expert_load.h"
#include "codmoe/report/intervals.h"
#include "codmoe/report/object_size.h"
#include "text.h"

namespace codmoe::report {
namespace {

using Row = std::vector<std::string>;

Row table_row(const std::string& run, const DatasetResult& dataset) {
  const metrics::Summary summary = dataset.summary();
  Row row{run, dataset.name(), fmt::format("{}", summary.n)};
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    if (metrics::columns()[i].headline) row.push_back(fmt::format("{:.4f}", summary.values[i]));
  }
  return row;
}

std::vector<Row> table_rows(std::span<const Evaluation> runs) {
  Row header{"run", "dataset", "n"};
  for (const metrics::Column& column : metrics::columns()) {
    if (column.headline) header.push_back(column.name);
  }
  std::vector<Row> rows{header};
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) rows.push_back(table_row(evaluation.run(), dataset));
  }
  if (runs.size() < 2) {
    for (Row& row : rows) row.erase(row.begin());
  }
  return rows;
}

// The same rows with the 95 % interval of each score.
std::vector<Row> interval_rows(std::span<const Evaluation> runs) {
  std::vector<Row> rows = table_rows(runs);
  std::size_t k = 0;
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      Row& row = rows[++k];
      const std::vector<Interval> intervals = bootstrap_intervals(dataset);
      std::size_t cell = row.size() - intervals.size();
      for (const auto& [low, high] : intervals) row[cell++] = fmt::format("{:.3f}-{:.3f}", low, high);
    }
  }
  return rows;
}

std::string checksum_lines(std::span<const Evaluation> runs) {
  std::string text;
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      const auto [masks, predictions] = checksums(dataset);
      append(text, "inputs: {}{}: n {}, masks {}, predictions {}\n", runs.size() < 2 ? "" : evaluation.run() + ", ",
             dataset.name(), dataset.images().size(), masks, predictions);
    }
  }
  return text;
}

// Names to the left, numbers to the right.
std::string align(const std::vector<Row>& rows, std::size_t names) {
  std::string text;
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i < names ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("{:>{}}", row[i], widths[i]);
      text += i + 1 < row.size() ? "  " : "\n";
    }
  }
  return text;
}

core::Json scores_json(const DatasetResult& dataset, const metrics::ScoreOptions& options) {
  const metrics::Summary summary = dataset.summary();
  core::Json json{{"n", summary.n}};
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (column.is_scored(options)) json[column.name] = summary.values[i];
  }
  return json;
}

core::Json intervals_json(const DatasetResult& dataset) {
  const std::vector<Interval> intervals = bootstrap_intervals(dataset);
  auto interval = intervals.begin();
  core::Json json;
  for (const metrics::Column& column : metrics::columns()) {
    if (!column.headline) continue;
    json[column.name] = {interval->low, interval->high};
    ++interval;
  }
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
  for (const DatasetResult& dataset : evaluation.datasets()) {
    json["datasets"][dataset.name()] = scores_json(dataset, evaluation.options().score);
    json["intervals"][dataset.name()] = intervals_json(dataset);
    const auto [masks, predictions] = checksums(dataset);
    json["inputs"][dataset.name()] = {{"masks", masks}, {"predictions", predictions}};
    if (const auto loads = loads_json(dataset, evaluation.layers()); !loads.empty()) {
      json["experts"][dataset.name()] = loads;
    }
    if (const auto notes = dataset.notes(); !notes.empty()) json["notes"][dataset.name()] = notes;
  }
  return json;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted;
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return '"' + quoted + '"';
}

bool in_csv(const metrics::Column& column, const metrics::ScoreOptions& options) {
  return column.statistic != metrics::Statistic::pooled && column.is_scored(options);
}

void append_csv_row(std::string& csv, const Evaluation& evaluation, const std::string& dataset,
                    const ImageResult& image, const metrics::ScoreOptions& options) {
  append(csv, "{},{},{},{},{},{}", csv_field(evaluation.run()), csv_field(dataset), csv_field(image.item.name),
         image.size.height, image.size.width, image.scores.counts.foreground);
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    if (in_csv(metrics::columns()[i], options)) append(csv, ",{}", image.values[i]);
  }
  csv += '\n';
}

// The experts an image used, highest weight first; ties in the order of the pool.
std::vector<std::size_t> used_experts(const ExpertUse& use) {
  std::vector<std::size_t> used;
  for (std::size_t e = 0; e < use.share.size(); ++e) {
    if (use.share[e] > 0) used.push_back(e);
  }
  std::ranges::stable_sort(used, std::ranges::greater(), [&](std::size_t e) { return use.weight[e]; });
  return used;
}

void append_routing_rows(std::string& csv, const std::string& start, const ImageResult& image,
                         const std::vector<ExpertLayer>& layers) {
  for (std::size_t i = 0; i < image.expert_use.size(); ++i) {
    const ExpertUse& use = image.expert_use[i];
    int rank = 0;
    for (const std::size_t e : used_experts(use)) {
      append(csv, "{},{},{},{},{},{:.6f},{:.6f}\n", start, csv_field(image.item.name), layers[i].name,
             csv_field(layers[i].experts[e]), ++rank, use.share[e], use.weight[e]);
    }
  }
}

}  // namespace

std::string format_table(std::span<const Evaluation> runs) {
  std::string text = align(table_rows(runs), runs.size() < 2 ? 1 : 2);
  if (runs.empty()) return text;
  append(text, "{}\n{}", conventions(runs.front().options()), checksum_lines(runs));
  append(text, "95 % intervals, bootstrap of {} samples of images:\n{}", bootstrap_samples,
         align(interval_rows(runs), runs.size() < 2 ? 1 : 2));
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      for (const std::string& note : dataset.notes()) {
        text += fmt::format("note: {}{}: {}\n", runs.size() < 2 ? "" : evaluation.run() + ", ", dataset.name(), note);
      }
    }
  }
  return text;
}

core::Json to_json(std::span<const Evaluation> runs) {
  core::Json json;
  if (runs.size() == 1) {
    json = run_json(runs.front());
  } else {
    json["runs"] = core::Json::object();
    for (const Evaluation& evaluation : runs) json["runs"][evaluation.run()] = run_json(evaluation);
  }
  if (!runs.empty()) json["conventions"] = conventions(runs.front().options());
  const auto has_layers = [](const Evaluation& evaluation) { return !evaluation.layers().empty(); };
  if (std::ranges::any_of(runs, has_layers)) json["object_sizes"] = object_size_convention();
  return json;
}

std::string to_csv(std::span<const Evaluation> runs) {
  const metrics::ScoreOptions options = score_options(runs);
  std::string csv = "run,dataset,name,height,width,foreground";
  for (const metrics::Column& column : metrics::columns()) {
    if (in_csv(column, options)) csv += ',' + column.name;
  }
  csv += '\n';
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      for (const ImageResult& image : dataset.images()) {
        append_csv_row(csv, evaluation, dataset.name(), image, options);
      }
    }
  }
  return csv;
}

std::string to_routing_csv(std::span<const Evaluation> runs) {
  std::string csv = "run,dataset,name,layer,expert,rank,share,weight\n";
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      const std::string start = csv_field(evaluation.run()) + ',' + csv_field(dataset.name());
      for (const ImageResult& image : dataset.images()) append_routing_rows(csv, start, image, evaluation.layers());
    }
  }
  return csv;
}

void write_json(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_json(runs).dump(2, ' ', false, core::Json::error_handler_t::replace) + '\n');
}

void write_csv(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_csv(runs));
}

void write_routing_csv(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_routing_csv(runs));
}

}  // namespace codmoe::report
