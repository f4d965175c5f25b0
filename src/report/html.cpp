#include "codmoe/report/html.h"

#include "codmoe/core/files.h"
#include "curve_charts.h"
#include "histogram.h"
#include "image_cards.h"
#include "load_table.h"
#include "score_rows.h"
#include "score_table_html.h"
#include "text.h"

namespace codmoe::report {
namespace {

void append_notes(std::string& page, const DatasetResult& dataset) {
  const std::vector<std::string> notes = dataset.notes();
  if (notes.empty()) return;
  page += "<ul class=\"notes\">\n";
  for (const std::string& note : notes) append(page, "<li>{}</li>\n", escape_markup(note));
  page += "</ul>\n";
}

void append_contents(std::string& page, const std::vector<ScoreRow>& rows, std::span<const Evaluation> runs) {
  if (rows.size() < 2) return;
  page += "<nav aria-label=\"Contents\"><ul>\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    append(page, "<li><a href=\"#part-{}\">{}</a></li>\n", i, escape_markup(label_of(rows[i], runs)));
  }
  page += "</ul></nav>\n";
}

// One after the other the datasets, whose rows are neighbours.
void append_curves(std::string& page, std::span<const ScoreRow> rows) {
  while (!rows.empty()) {
    const std::string& name = rows.front().dataset->name();
    std::size_t n = 1;
    while (n < rows.size() && rows[n].dataset->name() == name) ++n;
    append(page, "<section class=\"curves\">\n<h2>Curves, {}</h2>\n{}</section>\n", escape_markup(name),
           curve_charts_html(rows.first(n)));
    rows = rows.subspan(n);
  }
}

void append_part(std::string& page, const ScoreRow& row) {
  std::vector<double> ious;
  for (const ImageResult& image : row.dataset->images()) ious.push_back(image.at("IoU"));
  append_notes(page, *row.dataset);
  page += histogram_svg(ious);
  page += group_table_html(*row.dataset);
  page += load_tables_html(*row.dataset, row.run->layers());
  page += image_cards_html(*row.dataset);
}

}  // namespace

void write_html(const std::filesystem::path& dir, std::span<const Evaluation> runs, const std::string& title) {
  core::make_folder(dir);
  const std::vector<ScoreRow> rows = score_rows(runs);
  std::string page = begin_page(title);
  page += score_tables_html(runs);
  append_contents(page, rows, runs);
  append_curves(page, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    append(page, "<section id=\"part-{}\">\n<h2>{}</h2>\n", i, escape_markup(label_of(rows[i], runs)));
    append_part(page, rows[i]);
    page += "</section>\n";
  }
  page += "</body>\n</html>\n";
  core::write_file_atomically(dir / "index.html", page);
}

}  // namespace codmoe::report
