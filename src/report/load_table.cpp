#include "load_table.h"

#include <algorithm>

#include "codmoe/report/expert_load.h"
#include "codmoe/report/object_size.h"
#include "text.h"

namespace codmoe::report {
namespace {

double highest(const std::vector<ExpertLoad>& groups) {
  double highest = 0.0;
  for (const ExpertLoad& group : groups) highest = std::max(highest, std::ranges::max(group.load));
  return highest;
}

void append_head(std::string& html, const std::vector<ExpertLoad>& groups) {
  html += "<thead><tr><th scope=\"col\">expert</th>";
  for (const ExpertLoad& group : groups) {
    append(html, "<th scope=\"col\">{}<br><span class=\"quiet\">n = {}</span></th>", group.group, group.n);
  }
  html += "</tr></thead>\n";
}

void append_load_table(std::string& html, const std::vector<ExpertLoad>& groups, const ExpertLayer& layer) {
  const double scale = 100 / highest(groups);
  append(html, "<div class=\"scroll\"><table class=\"loads\" style=\"--even:{:.1f}%\">\n",
         scale / static_cast<double>(layer.experts.size()));
  append_head(html, groups);
  html += "<tbody>\n";
  for (std::size_t e = 0; e < layer.experts.size(); ++e) {
    append(html, "<tr><th scope=\"row\">{}</th>", escape_markup(layer.experts[e]));
    for (const ExpertLoad& group : groups) {
      append(html, "<td>{:.1f} %<div class=\"load\"><i style=\"width:{:.1f}%\"></i></div></td>", 100 * group.load[e],
             scale * group.load[e]);
    }
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n";
}

}  // namespace

std::string load_tables_html(const DatasetResult& dataset, const std::vector<ExpertLayer>& layers) {
  std::string html;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto groups = expert_loads(dataset, i);
    if (groups.empty()) continue;
    append(html, "<h3>Load of the experts, {}</h3>\n", escape_markup(layers[i].name));
    append_load_table(html, groups, layers[i]);
  }
  if (html.empty()) return html;
  append(
      html,
      "<p class=\"quiet\">Share of the router's choices, mean over images; the mark in each bar is where all would end "
      "under an even load. Columns: {}.</p>\n",
      object_size_convention());
  return html;
}

}  // namespace codmoe::report
