#include <algorithm>

#include "codmoe/report/doctor.h"
#include "codmoe/report/object_size.h"
#include "doctor_statistics.h"
#include "text.h"

namespace codmoe::report {
namespace {

constexpr std::size_t listed_files = 5;  // of a kind; JSON has all

void append_statistics(std::string& text, const data::Examination& set) {
  append(text, "  {:10} {:>9} {:>9} {:>9}\n", "", "least", "median", "most");
  for (const PairStatistic& row : pair_statistics(set)) {
    append(text, "  {:10} {:>9} {:>9} {:>9}\n", row.name, format_value(row, row.spread.least),
           format_value(row, row.spread.median), format_value(row, row.spread.most));
  }
  const auto sizes = count_sizes(set);
  text += "  objects    ";
  for (const ObjectSize size : object_sizes) {
    append(text, "{} {}, ", name_of(size), sizes[static_cast<std::size_t>(size)]);
  }
  append(text, "touching the border {}\n", count_at_border(set));
}

void append_kind(std::string& text, const KindOfFinding& kind, const data::Examination& set) {
  append(text, "  {:5}  {:16} {:>6}\n", kind.falsifies ? "fault" : "note", core::name_of(kind.fault),
         kind.findings.size());
  const std::size_t shown = std::min(kind.findings.size(), listed_files);
  for (std::size_t i = 0; i < shown; ++i) {
    append(text, "           {}: {}\n", short_path(kind.findings[i]->file, set), kind.findings[i]->detail);
  }
  if (shown < kind.findings.size()) append(text, "           and {} more\n", kind.findings.size() - shown);
}

core::Json findings_json(const data::Examination& set) {
  auto json = core::Json::array();
  for (const data::Finding& finding : set.findings) {
    json.push_back({{"kind", core::name_of(finding.fault)},
                    {"falsifies", finding.falsifies},
                    {"file", finding.file.string()},
                    {"detail", finding.detail},
                    {"other", finding.other.string()}});
  }
  return json;
}

core::Json statistics_json(const data::Examination& set) {
  core::Json json;
  for (const PairStatistic& row : pair_statistics(set)) {
    json[std::string(row.name)] = {
        {"least", row.spread.least}, {"median", row.spread.median}, {"most", row.spread.most}};
  }
  const auto sizes = count_sizes(set);
  for (const ObjectSize size : object_sizes) {
    json["sizes"][std::string(name_of(size))] = sizes[static_cast<std::size_t>(size)];
  }
  json["touching_border"] = count_at_border(set);
  for (auto row = set.location.begin(); row != set.location.end(); row += data::kLocationCells) {
    json["location"].push_back(std::vector<double>(row, row + data::kLocationCells));
  }
  return json;
}

core::Json set_json(const data::Examination& set) {
  const auto faults =
      std::count_if(set.findings.begin(), set.findings.end(), [](const auto& finding) { return finding.falsifies; });
  core::Json json{{"dir", set.dir.string()},
                  {"pairs", set.pairs.size()},
                  {"faults", faults},
                  {"notes", std::ssize(set.findings) - faults},
                  {"kinds", core::Json::object()},
                  {"findings", findings_json(set)}};
  for (const KindOfFinding& kind : by_kind(set)) {  // one kind may be a fault here and a note there
    const std::string name(core::name_of(kind.fault));
    json["kinds"][name] = json["kinds"].value(name, std::size_t{0}) + kind.findings.size();
  }
  if (!set.pairs.empty()) json["statistics"] = statistics_json(set);
  return json;
}

}  // namespace

std::string format_examinations(std::span<const data::Examination> sets) {
  std::string text;
  for (const data::Examination& set : sets) {
    append(text, "{}: {}\n", set.dir.string(), headline_of(set));
    if (!set.pairs.empty()) append_statistics(text, set);
    for (const KindOfFinding& kind : by_kind(set)) append_kind(text, kind, set);
  }
  return text;
}

core::Json to_json(std::span<const data::Examination> sets) {
  auto datasets = core::Json::array();
  for (const data::Examination& set : sets) datasets.push_back(set_json(set));
  const bool falsifies = std::any_of(sets.begin(), sets.end(), [](const auto& set) { return set.falsifies_scores(); });
  return {{"falsifies_scores", falsifies}, {"datasets", datasets}};
}

}  // namespace codmoe::report
