#include "curve_charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "text.h"

namespace codmoe::report {
namespace {

// The style sheet's colours; more lines than these are told apart by their dashes.
constexpr std::size_t colours = 6;
constexpr std::array dashes{"", "7 4", "2 3", "9 3 2 3"};

constexpr double left = 46;
constexpr double top = 10;
constexpr double side_x = 280;
constexpr double side_y = 210;
constexpr double bottom = top + side_y;

struct Point {
  double x, y;  // in [0, 1]
};

struct Chart {
  const char* title;
  const char* x_label;
  const char* y_label;
  double x_max;  // on the axis' ticks
  std::function<Point(const metrics::Summary&, std::size_t threshold)> at;
  std::function<std::string(const metrics::Summary&)> told;  // of a line, where it is pointed at
};

std::string look_of(std::size_t line) {
  const char* dash = dashes[line / colours % dashes.size()];
  return fmt::format("class=\"line c{}\"{}", line % colours,
                     *dash == '\0' ? "" : fmt::format(" stroke-dasharray=\"{}\"", dash));
}

Point over_threshold(const metrics::Curve& curve, std::size_t t) {
  return {static_cast<double>(t) / (metrics::thresholds - 1), curve[t]};
}

std::string highest(const metrics::Curve& curve) {
  const auto most = std::ranges::max_element(curve);
  return fmt::format("{:.4f} at threshold {}", *most, most - curve.begin());
}

const std::array<Chart, 3>& charts() {
  static const std::array<Chart, 3> list{{
      {"Precision and recall", "recall", "precision", 1,
       [](const metrics::Summary& summary, std::size_t t) {
         return Point{summary.curve("rec")[t], summary.curve("pre")[t]};
       },
       [](const metrics::Summary& summary) { return "highest precision " + highest(summary.curve("pre")); }},
      {"F-measure", "threshold", "F-measure", 255,
       [](const metrics::Summary& summary, std::size_t t) { return over_threshold(summary.curve("Fm"), t); },
       [](const metrics::Summary& summary) { return "highest " + highest(summary.curve("Fm")); }},
      {"E-measure", "threshold", "E-measure", 255,
       [](const metrics::Summary& summary, std::size_t t) { return over_threshold(summary.curve("Em"), t); },
       [](const metrics::Summary& summary) { return "highest " + highest(summary.curve("Em")); }},
  }};
  return list;
}

double across(double x) { return left + side_x * x; }
double up(double y) { return bottom - side_y * std::clamp(y, 0.0, 1.0); }

void append_grid(std::string& svg, const Chart& chart) {
  for (const double tick : {0.0, 0.2, 0.4, 0.6, 0.8, 1.0}) {
    append(svg, R"(<path d="M{:.1f} {:.1f}h{:.1f}M{:.1f} {:.1f}v{:.1f}"/>)", left, up(tick), side_x, across(tick), top,
           side_y);
    append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{:g}</text>)", across(tick), bottom + 17,
           chart.x_max * tick);
    append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{:g}</text>)", left - 6, up(tick) + 4, tick);
  }
  append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", across(0.5), bottom + 36, chart.x_label);
  append(svg, R"svg(<text transform="translate(12 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>)svg", up(0.5),
         chart.y_label);
  svg += '\n';
}

// A threshold at which a score is undefined interrupts the line.
void append_line(std::string& svg, const Chart& chart, const ScoreRow& row, std::size_t line) {
  append(svg, "<path {} d=\"", look_of(line));
  char command = 'M';
  for (std::size_t t = 0; t < metrics::thresholds; ++t) {
    const Point point = chart.at(row.summary, t);
    const bool is_defined = std::isfinite(point.x) && std::isfinite(point.y);
    if (is_defined) append(svg, "{}{:.1f} {:.1f}", command, across(point.x), up(point.y));
    command = is_defined ? 'L' : 'M';
  }
  append(svg, "\"><title>{}: {}</title></path>\n", escape_markup(row.run->run()), chart.told(row.summary));
}

void append_legend(std::string& html, std::span<const ScoreRow> rows) {
  html += "<ul class=\"legend\">\n";
  for (std::size_t line = 0; line < rows.size(); ++line) {
    append(
        html,
        "<li><svg class=\"sample\" viewBox=\"0 0 32 8\" aria-hidden=\"true\"><path {} d=\"M0 4h32\"/></svg> {}</li>\n",
        look_of(line), escape_markup(rows[line].run->run()));
  }
  html += "</ul>\n";
}

}  // namespace

std::string curve_charts_html(std::span<const ScoreRow> rows) {
  std::string html;
  append_legend(html, rows);
  html += "<div class=\"charts\">\n";
  for (const Chart& chart : charts()) {
    append(html, "<figure><figcaption>{}</figcaption><svg class=\"chart\" viewBox=\"0 0 340 262\" role=\"img\" ",
           chart.title);
    append(html, "aria-label=\"{} of {} over 256 thresholds\">\n", chart.title,
           escape_markup(rows.front().dataset->name()));
    append_grid(html, chart);
    for (std::size_t line = 0; line < rows.size(); ++line) append_line(html, chart, rows[line], line);
    html += "</svg></figure>\n";
  }
  return html + "</div>\n";
}

}  // namespace codmoe::report
