#include "markup.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <numeric>

namespace codmoe::report {
namespace {

constexpr int bins = 20;
constexpr double left = 40;
constexpr double top = 22;
constexpr double plot_width = 580;
constexpr double plot_height = 160;

std::array<int, bins> count(const std::vector<double>& scores) {
  std::array<int, bins> counts{};
  for (const double score : scores) ++counts[static_cast<std::size_t>(std::clamp(score * bins, 0.0, bins - 1.0))];
  return counts;
}

}  // namespace

std::string escape_markup(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string histogram_svg(const std::vector<double>& scores, std::string_view name) {
  const auto counts = count(scores);
  const int most = std::max(1, *std::max_element(counts.begin(), counts.end()));
  const double mean = std::accumulate(scores.begin(), scores.end(), 0.0) / static_cast<double>(scores.size());
  const double bottom = top + plot_height;
  std::string svg;
  const auto add = [&svg](fmt::format_string<double, double, double, double, std::string> text, double a, double b,
                          double c, double d, const std::string& content) {
    fmt::format_to(std::back_inserter(svg), text, a, b, c, d, content);
  };
  fmt::format_to(std::back_inserter(svg),
                 "<svg class=\"histogram\" viewBox=\"0 0 640 220\" role=\"img\" aria-label=\"{} over {} images, mean "
                 "{:.4f}\">\n",
                 escape_markup(name), scores.size(), mean);
  for (int b = 0; b < bins; ++b) {
    const int n = counts[static_cast<std::size_t>(b)];
    const double height = plot_height * n / most;
    add("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}</title></rect>\n",
        left + plot_width * b / bins + 1, bottom - height, plot_width / bins - 2, height,
        fmt::format("{:.2f} to {:.2f}: {} images", 1.0 * b / bins, (b + 1.0) / bins, n));
  }
  add("<path class=\"axis\" d=\"M{:.1f} {:.1f}h{:.1f}\"/>{3:.0s}{4}\n", left, bottom, plot_width, 0, "");
  svg += "</svg>\n";
  return svg;
}

}  // namespace codmoe::report
