#include "histogram.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "text.h"

namespace codmoe::report {
namespace {

constexpr std::size_t bins = 20;
constexpr double left = 36;
constexpr double top = 22;
constexpr double plot_width = 392;
constexpr double plot_height = 150;
constexpr double bottom = top + plot_height;

double place(double iou) { return left + plot_width * iou; }

std::array<int, bins> count(const std::vector<double>& ious) {
  std::array<int, bins> counts{};
  for (const double iou : ious) {
    ++counts[std::min(bins - 1, static_cast<std::size_t>(std::max(0.0, iou) * static_cast<double>(bins)))];
  }
  return counts;
}

void append_bars(std::string& svg, const std::array<int, bins>& counts, int most) {
  for (std::size_t b = 0; b < bins; ++b) {
    const double from = static_cast<double>(b) / bins;
    const double to = static_cast<double>(b + 1) / bins;
    const double height = plot_height * counts[b] / most;
    append(svg, R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">)", place(from) + 1, bottom - height,
           plot_width / bins - 2, height);
    append(svg, "<title>{:.2f} to {:.2f}: {}</title></rect>\n", from, to, counts[b]);
  }
}

void append_axes(std::string& svg, int most) {
  append(svg, R"(<path d="M{:.1f} {:.1f}h{:.1f}"/>)", left, bottom, plot_width);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)", place(tick), bottom + 18, tick);
  }
  append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">IoU</text>)", place(0.5), bottom + 38);
  append(svg, R"(<text x="{0:.1f}" y="{1:.1f}" text-anchor="end">{2}</text>)", left - 6, top + 5, most);
  append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">0</text>)", left - 6, bottom);
}

}  // namespace

std::string histogram_svg(const std::vector<double>& ious) {
  const auto counts = count(ious);
  const int most = *std::max_element(counts.begin(), counts.end());
  const double mean = std::accumulate(ious.begin(), ious.end(), 0.0) / static_cast<double>(ious.size());
  std::string svg;
  append(svg, R"(<svg class="histogram" viewBox="0 0 440 216" role="img" )");
  append(svg, "aria-label=\"Histogram of the IoU of {} images, mean {:.4f}\">\n", ious.size(), mean);
  append_bars(svg, counts, most);
  append_axes(svg, most);
  append(svg, R"(<path class="mean" d="M{:.1f} {:.1f}v{:.1f}"/>)", place(mean), top - 4, plot_height + 4);
  // Near an edge the label would leave the picture.
  append(svg, R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">mean {:.4f}</text>)",
         std::clamp(place(mean), left + 40, left + plot_width - 40), top - 8, mean);
  return svg + "\n</svg>\n";
}

}  // namespace codmoe::report
