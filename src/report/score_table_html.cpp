#include "score_table_html.h"

#include <algorithm>

#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "codmoe/report/groups.h"
#include "score_rows.h"
#include "text.h"

namespace codmoe::report {
namespace {

// Scores as rows: a screen of a phone takes a few datasets side by side, but not ten scores.
void begin_score_table(std::string& html, const std::vector<ScoreRow>& columns, bool several_runs) {
  html += "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">score</th>";
  for (const ScoreRow& column : columns) {
    append(html, "<th scope=\"col\">{}", escape_markup(column.dataset->name()));
    if (several_runs) append(html, "<br>{}", escape_markup(column.run->run()));
    html += "</th>";
  }
  html += "</tr></thead>\n<tbody>\n";
}

template <class Cell>
void append_row(std::string& html, std::string_view name, const std::vector<ScoreRow>& columns, const Cell& cell) {
  append(html, "<tr><th scope=\"row\">{}</th>", name);
  for (const ScoreRow& column : columns) append(html, "<td>{}</td>", cell(column));
  html += "</tr>\n";
}

std::string score_cell(const ScoreRow& row, std::size_t i) {
  const std::string score = format_score(row.summary.values[i]);
  return row.is_best[i] ? "<b>" + score + "</b>" : score;
}

void append_headline(std::string& html, const std::vector<ScoreRow>& columns) {
  for (std::size_t k = 0; k < headline_columns().size(); ++k) {
    const std::size_t i = headline_columns()[k];
    const metrics::Column& column = metrics::columns()[i];
    const char* direction = column.higher_is_better ? "↑" : "↓";
    append_row(html, fmt::format("{} {}", column.name, direction), columns, [&](const ScoreRow& row) {
      const Interval& interval = row.dataset->intervals()[k];
      return fmt::format("{}<br><span class=\"quiet\">{:.3f}–{:.3f}</span>", score_cell(row, i), interval.low,
                         interval.high);
    });
  }
}

}  // namespace

std::string score_tables_html(std::span<const Evaluation> runs) {
  std::string html;
  if (runs.empty()) return html;
  const std::vector<ScoreRow> columns = score_rows(runs);
  begin_score_table(html, columns, runs.size() > 1);
  append_row(html, "images (n)", columns, [](const ScoreRow& row) { return row.summary.n; });
  append_headline(html, columns);
  const auto digits = [](const std::string& sum) {
    return "<code>" + sum.substr(0, 8) + "<wbr>" + sum.substr(8) + "</code>";
  };
  append_row(html, "masks", columns, [&](const ScoreRow& row) { return digits(checksums(*row.dataset).masks); });
  append_row(html, "predictions", columns,
             [&](const ScoreRow& row) { return digits(checksums(*row.dataset).predictions); });
  append(html,
         "</tbody></table></div>\n<p class=\"quiet\">Below each score its 95 % interval, by bootstrap of {} samples of "
         "images. {}. Masks, predictions: checksums of their names and pixels.</p>\n",
         bootstrap_samples, escape_markup(conventions(runs)));
  html += "<details><summary>All other scores</summary>\n";
  begin_score_table(html, columns, runs.size() > 1);
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (column.headline || !column.is_scored(score_options(runs))) continue;
    append_row(html, column.name, columns, [&](const ScoreRow& row) { return score_cell(row, i); });
  }
  return html + "</tbody></table></div>\n</details>\n";
}

std::string group_table_html(const DatasetResult& dataset) {
  const std::vector<GroupScores> groups = scores_by_group(dataset);
  std::string html =
      "<h3>By size, number and location of the object</h3>\n<div class=\"scroll\"><table class=\"groups\">\n<thead>"
      "<tr><th></th>";
  for (const Grouping& grouping : groupings()) {
    const auto n = std::ranges::count(groups, grouping.name, &GroupScores::grouping);
    append(html, "<th scope=\"colgroup\" colspan=\"{}\">{}</th>", n, grouping.name);
  }
  html += "</tr>\n<tr><th scope=\"col\">score</th>";
  for (const GroupScores& group : groups) {
    append(html, "<th scope=\"col\">{}<br><span class=\"quiet\">n = {}</span></th>", group.group, group.summary.n);
  }
  html += "</tr></thead>\n<tbody>\n";
  for (const std::size_t i : headline_columns()) {
    append(html, "<tr><th scope=\"row\">{}</th>", metrics::columns()[i].name);
    for (const GroupScores& group : groups) append(html, "<td>{}</td>", format_score(group.summary.values[i]));
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n<p class=\"quiet\">";
  for (const Grouping& grouping : groupings()) append(html, "{}: {}. ", grouping.name, grouping.convention);
  return html + "</p>\n";
}

}  // namespace codmoe::report
