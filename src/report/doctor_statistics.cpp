#include "doctor_statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "codmoe/report/object_size.h"

namespace codmoe::report {
namespace {

template <class Value>
Spread spread_of(const data::Examination& set, const Value& value) {
  std::vector<double> values;
  for (const data::PairFacts& pair : set.pairs) values.push_back(static_cast<double>(value(pair)));
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

int64_t count_of(const std::vector<KindOfFinding>& kinds, bool falsifies) {
  int64_t count = 0;
  for (const KindOfFinding& kind : kinds) count += kind.falsifies == falsifies ? std::ssize(kind.findings) : 0;
  return count;
}

}  // namespace

std::vector<PairStatistic> pair_statistics(const data::Examination& set) {
  using Pair = data::PairFacts;
  return {{"width", false, spread_of(set, [](const Pair& pair) { return pair.width; })},
          {"height", false, spread_of(set, [](const Pair& pair) { return pair.height; })},
          {"coverage", true, spread_of(set, [](const Pair& pair) { return pair.coverage; })},
          {"centre_x", true, spread_of(set, [](const Pair& pair) { return pair.centre_x; })},
          {"centre_y", true, spread_of(set, [](const Pair& pair) { return pair.centre_y; })}};
}

std::array<int64_t, 4> count_sizes(const data::Examination& set) {
  std::array<int64_t, 4> counts{};
  for (const data::PairFacts& pair : set.pairs) ++counts[static_cast<std::size_t>(object_size_of(pair.coverage))];
  return counts;
}

int64_t count_at_border(const data::Examination& set) {
  return std::count_if(set.pairs.begin(), set.pairs.end(), [](const auto& pair) { return pair.touches_border; });
}

std::vector<KindOfFinding> by_kind(const data::Examination& set) {
  std::map<std::pair<bool, data::Fault>, std::vector<const data::Finding*>> groups;
  for (const data::Finding& finding : set.findings) groups[{!finding.falsifies, finding.fault}].push_back(&finding);
  std::vector<KindOfFinding> kinds;
  for (auto& [key, findings] : groups) kinds.push_back({key.second, !key.first, std::move(findings)});
  return kinds;
}

std::string headline_of(const data::Examination& set) {
  const auto kinds = by_kind(set);
  const auto counted = [](int64_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  return fmt::format("{} read, {}, {}", counted(std::ssize(set.pairs), "pair"), counted(count_of(kinds, true), "fault"),
                     counted(count_of(kinds, false), "note"));
}

std::string short_path(const std::filesystem::path& file, const data::Examination& set) {
  const std::filesystem::path within = file.lexically_relative(set.dir);
  return within.empty() || *within.begin() == ".." ? file.string() : within.string();
}

std::string format_value(const PairStatistic& statistic, double value) {
  return statistic.is_share ? fmt::format("{:.1f} %", 100 * value) : fmt::format("{:.0f}", value);
}

}  // namespace codmoe::report
