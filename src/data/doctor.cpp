#include "codmoe/data/doctor.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "codmoe/core/parallel.h"
#include "codmoe/data/dataset.h"
#include "doctor_folders.h"
#include "doctor_lists.h"
#include "doctor_pair.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

using Findings = std::vector<Finding>;
using ExaminedPairs = std::vector<std::pair<std::optional<ExaminedPair>, Findings>>;

ExaminedPairs examine_pairs(const std::vector<Item>& items, const DoctorProgress& progress) {
  ExaminedPairs examined(items.size());
  const auto body = [&](int64_t i) {
    auto& [pair, findings] = examined[static_cast<std::size_t>(i)];
    pair = examine_pair(items[static_cast<std::size_t>(i)], findings);
  };
  core::parallel_for(std::ssize(items), /*threads=*/0, body, [&](int64_t done) {
    if (progress) progress(done, std::ssize(items));
  });
  return examined;
}

void collect(ExaminedPairs& examined, Examination& result) {
  for (auto& [pair, findings] : examined) {
    result.findings.insert(result.findings.end(), findings.begin(), findings.end());
    if (!pair) continue;
    result.pairs.push_back(pair->facts);
    for (std::size_t i = 0; i < pair->location.size(); ++i) result.location[i] += pair->location[i];
  }
  for (double& cell : result.location) cell /= std::max(static_cast<double>(result.pairs.size()), 1.0);
}

}  // namespace

bool Examination::falsifies_scores() const {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.falsifies; });
}

void sort_by_file(Findings& findings) {
  std::sort(findings.begin(), findings.end(),
            [](const Finding& a, const Finding& b) { return std::tie(a.file, a.fault) < std::tie(b.file, b.fault); });
}

Examination examine(const fs::path& dir, const DoctorProgress& progress) {
  Examination result{.dir = dir};
  const std::vector<Item> items = find_pairs(find_folders(dir), result.findings);
  std::set<std::string> names;
  for (const Item& item : items) names.insert(item.name);
  const ListedNames listed = examine_lists(dir, names, result.findings);

  ExaminedPairs examined = examine_pairs(items, progress);
  collect(examined, result);
  for (PairFacts& pair : result.pairs) {
    pair.in_training_list = listed.training.contains(pair.name);
    pair.in_test_list = listed.test.contains(pair.name);
  }
  sort_by_file(result.findings);
  return result;
}

}  // namespace codmoe::data
