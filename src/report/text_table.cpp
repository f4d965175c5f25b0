#include <fmt/format.h>

#include "codmoe/metrics/registry.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/groups.h"
#include "score_rows.h"
#include "text.h"

namespace codmoe::report {
namespace {

using Row = std::vector<std::string>;

bool names_runs(std::span<const Evaluation> runs) { return runs.size() > 1; }

Row first_cells(std::string run, std::string dataset, std::span<const Evaluation> runs) {
  return names_runs(runs) ? Row{std::move(run), std::move(dataset)} : Row{std::move(dataset)};
}

Row header(std::span<const Evaluation> runs, std::initializer_list<std::string> more) {
  Row row = first_cells("run", "dataset", runs);
  row.insert(row.end(), more);
  for (const std::size_t i : headline_columns()) row.push_back(metrics::columns()[i].name);
  return row;
}

void append_scores(Row& row, const metrics::Summary& summary) {
  for (const std::size_t i : headline_columns()) row.push_back(format_score(summary.values[i]));
}

std::string score_table(const std::vector<ScoreRow>& scores, std::span<const Evaluation> runs) {
  std::vector<Row> rows{header(runs, {"n"})};
  for (const ScoreRow& score : scores) {
    Row& row = rows.emplace_back(first_cells(score.run->run(), score.dataset->name(), runs));
    row.push_back(fmt::format("{}", score.summary.n));
    append_scores(row, score.summary);
  }
  return align(rows, names_runs(runs) ? 2 : 1);
}

std::string interval_table(const std::vector<ScoreRow>& scores, std::span<const Evaluation> runs) {
  std::vector<Row> rows{header(runs, {"n"})};
  for (const ScoreRow& score : scores) {
    Row& row = rows.emplace_back(first_cells(score.run->run(), score.dataset->name(), runs));
    row.push_back(fmt::format("{}", score.summary.n));
    for (const auto& [low, high] : score.dataset->intervals()) {
      row.push_back(fmt::format("{:.3f}-{:.3f}", low, high));
    }
  }
  return align(rows, names_runs(runs) ? 2 : 1);
}

std::string group_table(const std::vector<ScoreRow>& scores, std::span<const Evaluation> runs) {
  std::vector<Row> rows{header(runs, {"by", "group", "n"})};
  for (const ScoreRow& score : scores) {
    for (const GroupScores& group : scores_by_group(*score.dataset)) {
      Row& row = rows.emplace_back(first_cells(score.run->run(), score.dataset->name(), runs));
      row.insert(row.end(),
                 {std::string(group.grouping), std::string(group.group), fmt::format("{}", group.summary.n)});
      append_scores(row, group.summary);
    }
  }
  return align(rows, names_runs(runs) ? 4 : 3);
}

}  // namespace

std::string format_table(std::span<const Evaluation> runs) {
  const std::vector<ScoreRow> rows = score_rows(runs);
  std::string text = score_table(rows, runs);
  if (runs.empty()) return text;
  append(text, "{}\n", conventions(runs));
  for (const ScoreRow& row : rows) append(text, "{}\n", inputs_of(row, runs));
  append(text, "95 % intervals, bootstrap of {} samples of images:\n{}", bootstrap_samples, interval_table(rows, runs));
  append(text, "by the object's size, number and location:\n{}", group_table(rows, runs));
  for (const Grouping& grouping : groupings()) append(text, "{}: {}\n", grouping.name, grouping.convention);
  for (const ScoreRow& row : rows) {
    for (const std::string& note : row.dataset->notes()) append(text, "note: {}: {}\n", label_of(row, runs), note);
  }
  return text;
}

}  // namespace codmoe::report
