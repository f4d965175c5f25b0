#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/data/image_file.h"
#include "codmoe/report/doctor.h"
#include "codmoe/report/object_size.h"
#include "doctor_statistics.h"
#include "picture.h"
#include "text.h"

namespace fs = std::filesystem;

namespace codmoe::report {
namespace {

constexpr std::size_t shown_findings = 6;  // of a kind with pictures; the others by name
constexpr int64_t finding_thumbnail = 192;

constexpr const char* finding_style = R"css(
.fault { color: var(--mean); font-weight: 600; }
.location { display: block; width: 100%; max-width: 14rem; height: auto; border: 1px solid var(--line); }
.location rect { fill: var(--bar); }
.findings .pictures { grid-template-columns: 1fr 1fr; }
.scroll + .scroll { margin-top: 1.5rem; }
)css";

const char* weight_of(bool falsifies) { return falsifies ? "<span class=\"fault\">falsifies scores</span>" : "note"; }

/// As photographs are read, masks too: their kind of file may be what is wrong. Nothing where that fails.
void append_thumbnail(std::string& page, const fs::path& file, const data::Examination& set) {
  if (file.empty() || !data::is_image_name(file)) return;
  try {
    const at::Tensor picture = shrink(data::read_image(file), finding_thumbnail);
    const std::string name = short_path(file, set);
    append(page, "<figure>{}<figcaption>{}</figcaption></figure>\n", embedded_picture(picture, name),
           escape_markup(name));
  } catch (const core::Error&) {
    append(page, "<figure><figcaption>{}: no picture</figcaption></figure>\n", escape_markup(short_path(file, set)));
  }
}

void append_finding(std::string& page, const data::Finding& finding, const data::Examination& set) {
  append(page, "<div class=\"card\"><p><strong>{}</strong> {}</p><div class=\"pictures\">\n",
         escape_markup(short_path(finding.file, set)), escape_markup(finding.detail));
  append_thumbnail(page, finding.file, set);
  append_thumbnail(page, finding.other, set);
  page += "</div></div>\n";
}

void append_finding_kind(std::string& page, const KindOfFinding& kind, const data::Examination& set) {
  append(page, "<h3>{}: {} ({})</h3>\n<div class=\"cards findings\">\n", core::name_of(kind.fault),
         kind.findings.size(), weight_of(kind.falsifies));
  const std::size_t shown = std::min(shown_findings, kind.findings.size());
  for (std::size_t i = 0; i < shown; ++i) append_finding(page, *kind.findings[i], set);
  page += "</div>\n";
  if (shown == kind.findings.size()) return;
  append(page, "<details><summary>{} more</summary><ul class=\"notes\">\n", kind.findings.size() - shown);
  for (std::size_t i = shown; i < kind.findings.size(); ++i) {
    append(page, "<li>{}: {}</li>\n", escape_markup(short_path(kind.findings[i]->file, set)),
           escape_markup(kind.findings[i]->detail));
  }
  page += "</ul></details>\n";
}

void append_pair_statistics(std::string& page, const data::Examination& set) {
  page +=
      "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\"></th><th scope=\"col\">least</th>"
      "<th scope=\"col\">median</th><th scope=\"col\">most</th></tr></thead>\n<tbody>\n";
  for (const PairStatistic& row : pair_statistics(set)) {
    append(page, "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n", row.name,
           format_value(row, row.spread.least), format_value(row, row.spread.median),
           format_value(row, row.spread.most));
  }
  page += "</tbody></table></div>\n<p class=\"quiet\">";
  const auto sizes = count_sizes(set);
  for (const ObjectSize size : object_sizes) {
    append(page, "{}: {}, ", name_of(size), sizes[static_cast<std::size_t>(size)]);
  }
  append(page, "touching the border: {} ({})</p>\n", count_at_border(set), object_size_convention());
}

void append_location(std::string& page, const data::Examination& set) {
  constexpr auto cells = static_cast<std::size_t>(data::kLocationCells);
  const double most = *std::max_element(set.location.begin(), set.location.end());
  if (most == 0) return;
  append(page,
         "<p>Where objects are: the darkest cell is covered in {0:.1f} % of the images.</p>\n<svg class=\"location\" "
         "viewBox=\"0 0 {1} {1}\" role=\"img\" aria-label=\"How often each part of the image is covered\">\n",
         100 * most, cells);
  for (std::size_t i = 0; i < set.location.size(); ++i) {
    append(page, R"(<rect x="{}" y="{}" width="1.02" height="1.02" opacity="{:.2f}"/>)", i % cells, i / cells,
           set.location[i] / most);
  }
  page += "\n</svg>\n";
}

void append_kinds(std::string& page, const std::vector<KindOfFinding>& kinds) {
  if (kinds.empty()) {
    page += "<p>Nothing was found.</p>\n";
    return;
  }
  page +=
      "<div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">finding</th><th scope=\"col\">files</th>"
      "<th scope=\"col\"></th></tr></thead>\n<tbody>\n";
  for (const KindOfFinding& kind : kinds) {
    append(page, "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n", core::name_of(kind.fault),
           kind.findings.size(), weight_of(kind.falsifies));
  }
  page += "</tbody></table></div>\n";
}

void append_set(std::string& page, const data::Examination& set) {
  append(page, "<section>\n<h2>{}</h2>\n<p>{}</p>\n", escape_markup(set.dir.string()), headline_of(set));
  const auto kinds = by_kind(set);
  append_kinds(page, kinds);
  if (!set.pairs.empty()) {
    append_pair_statistics(page, set);
    append_location(page, set);
  }
  for (const KindOfFinding& kind : kinds) append_finding_kind(page, kind, set);
  page += "</section>\n";
}

}  // namespace

void write_examination_page(const fs::path& dir, std::span<const data::Examination> sets) {
  core::make_folder(dir);
  std::string page = begin_page("codmoe dataset check", finding_style);
  for (const data::Examination& set : sets) append_set(page, set);
  page += "</body>\n</html>\n";
  core::write_file_atomically(dir / "index.html", page);
}

}  // namespace codmoe::report
