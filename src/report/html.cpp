#include "codmoe/report/html.h"

#include <algorithm>
#include <numeric>

#include "codmoe/core/files.h"
#include "codmoe/data/image_file.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "histogram.h"
#include "load_table.h"
#include "picture.h"
#include "text.h"

namespace codmoe::report {
namespace {

// Images of each kind shown: best, median and worst.
constexpr std::size_t shown = 4;

std::string title_of(const Evaluation& evaluation, const DatasetResult& dataset, bool several_runs) {
  return escape_markup(several_runs ? evaluation.run() + ", " + dataset.name() : dataset.name());
}

// Two more rows, of which the first continues after the row `counts`.
void append_checksums(std::string& counts, std::span<const Evaluation> runs) {
  std::string masks;
  std::string predictions;
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      const Checksums sums = checksums(dataset);
      append(masks, "<td>{}</td>", sums.masks.substr(0, 8));
      append(predictions, "<td>{}</td>", sums.predictions.substr(0, 8));
    }
  }
  append(counts,
         "</tr>\n<tr><th scope=\"row\">masks' checksum</th>{}</tr>\n<tr><th scope=\"row\">predictions' "
         "checksum</th>{}",
         masks, predictions);
}

// Scores as rows: a screen of a phone takes a few datasets side by side, but not ten scores.
void append_table(std::string& page, std::span<const Evaluation> runs, bool headline) {
  std::vector<metrics::Summary> summaries;
  std::string names = "<th scope=\"col\">score</th>";
  std::string counts = "<th scope=\"row\">images</th>";
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      summaries.push_back(dataset.summary());
      append(names, "<th scope=\"col\">{}</th>", title_of(evaluation, dataset, runs.size() > 1));
      append(counts, "<td>{}</td>", summaries.back().n);
    }
  }
  if (headline) append_checksums(counts, runs);
  append(page, "<div class=\"scroll\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n<tr>{}</tr>\n", names, counts);
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (column.headline != headline || !column.is_scored(score_options(runs))) continue;
    append(page, "<tr><th scope=\"row\">{}</th>", column.name);
    for (const metrics::Summary& summary : summaries) append(page, "<td>{:.4f}</td>", summary.values[i]);
    page += "</tr>\n";
  }
  page += "</tbody></table></div>\n";
}

void append_notes(std::string& page, const DatasetResult& dataset) {
  const std::vector<std::string> notes = dataset.notes();
  if (notes.empty()) return;
  page += "<ul class=\"notes\">\n";
  for (const std::string& note : notes) append(page, "<li>{}</li>\n", escape_markup(note));
  page += "</ul>\n";
}

void append_picture(std::string& page, const at::Tensor& image, const char* what, const ImageResult& result,
                    const std::filesystem::path& scratch) {
  append(page, "<figure>{}<figcaption>{}</figcaption></figure>\n",
         embedded_picture(image, fmt::format("{} of {}", what, result.item.name), scratch), what);
}

void append_card(std::string& page, const ImageResult& result, const std::filesystem::path& scratch) {
  append(page,
         "<div class=\"card\"><p><strong>{}</strong> IoU {:.3f}, S {:.3f}, MAE {:.3f}</p><div class=\"pictures\">\n",
         escape_markup(result.item.name), result.at("IoU"), result.at("Smeasure"), result.at("MAE"));
  if (!result.item.image.empty()) {
    append_picture(page, shrink(data::read_image(result.item), report_thumbnail), "photograph", result, scratch);
  }
  append_picture(page, shrink(data::read_mask(result.item), report_thumbnail), "mask", result, scratch);
  if (result.thumbnail_hw.defined()) append_picture(page, result.thumbnail_hw, "prediction", result, scratch);
  page += "</div></div>\n";
}

using Images = std::span<const ImageResult* const>;

void append_cards(std::string& page, const char* heading, Images images, const std::filesystem::path& scratch) {
  append(page, "<h3>{}</h3>\n<div class=\"cards\">\n", heading);
  for (const ImageResult* image : images) append_card(page, *image, scratch);
  page += "</div>\n";
}

void append_dataset(std::string& page, const DatasetResult& dataset, const std::vector<ExpertLayer>& layers,
                    const std::filesystem::path& scratch) {
  std::vector<const ImageResult*> by_iou;
  std::vector<double> ious;
  for (const ImageResult& image : dataset.images()) {
    by_iou.push_back(&image);
    ious.push_back(image.at("IoU"));
  }
  append_notes(page, dataset);
  page += histogram_svg(ious);
  page += load_tables_html(dataset, layers);
  std::stable_sort(by_iou.begin(), by_iou.end(),
                   [](const ImageResult* a, const ImageResult* b) { return a->at("IoU") > b->at("IoU"); });
  const Images all(by_iou);
  if (all.size() <= 3 * shown) return append_cards(page, "All images, best first", all, scratch);
  append_cards(page, "Best", all.first(shown), scratch);
  append_cards(page, "Around the median", all.subspan((all.size() - shown) / 2, shown), scratch);
  append_cards(page, "Worst", all.last(shown), scratch);
}

}  // namespace

void write_html(const std::filesystem::path& dir, std::span<const Evaluation> runs, const std::string& title) {
  std::filesystem::create_directories(dir);
  std::string page = begin_page(title);
  append_table(page, runs, true);
  if (!runs.empty()) append(page, "<p class=\"quiet\">{}</p>\n", escape_markup(conventions(runs.front().options())));
  page += "<details><summary>All other scores</summary>\n";
  append_table(page, runs, false);
  page += "</details>\n";
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      append(page, "<section>\n<h2>{}</h2>\n", title_of(evaluation, dataset, runs.size() > 1));
      append_dataset(page, dataset, evaluation.layers(), dir);
      page += "</section>\n";
    }
  }
  page += "</body>\n</html>\n";
  core::write_file_atomically(dir / "index.html", page);
}

}  // namespace codmoe::report
