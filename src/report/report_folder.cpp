#include "codmoe/report/report_folder.h"

#include <algorithm>

#include "codmoe/core/files.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/html.h"

namespace codmoe::report {

void write_report(const std::filesystem::path& dir, std::span<const Evaluation> runs) {
  write_html(dir, runs);
  write_json(dir / "scores.json", runs);
  write_csv(dir / "images.csv", runs);
  core::write_file_atomically(dir / "curves.csv", to_curves_csv(runs));
  core::write_file_atomically(dir / "table.md", to_markdown(runs));
  core::write_file_atomically(dir / "table.tex", to_latex(runs));
  const auto has_layers = [](const Evaluation& run) { return !run.layers().empty(); };
  if (std::ranges::any_of(runs, has_layers)) write_routing_csv(dir / "routing.csv", runs);
}

}  // namespace codmoe::report
