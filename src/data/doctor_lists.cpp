#include "doctor_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "codmoe/core/error.h"
#include "codmoe/data/dataset.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

struct NameList {
  fs::path file;
  std::vector<std::string> names;
};

bool is_called(const fs::path& list, std::string_view word) {
  return list.stem().string().find(word) != std::string::npos;
}

bool is_for_test(const fs::path& list) { return is_called(list, "test") || is_called(list, "val"); }
/// "trainval" is neither: it may hold both.
bool is_for_training(const fs::path& list) { return is_called(list, "train") && !is_for_test(list); }

/// A readme is no list: a list is called like one, or half of its lines are names.
bool is_list(const NameList& list, const std::set<std::string>& names) {
  if (is_called(list.file, "train") || is_for_test(list.file)) return true;
  const auto known =
      std::count_if(list.names.begin(), list.names.end(), [&](const auto& n) { return names.contains(n); });
  return known > 0 && 2 * known >= std::ssize(list.names);
}

std::vector<NameList> find_lists(const fs::path& dir, const std::set<std::string>& names) {
  std::vector<NameList> lists;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() != ".txt" || !entry.is_regular_file()) continue;
    NameList list{entry.path(), read_list(entry.path())};
    if (is_list(list, names)) lists.push_back(std::move(list));
  }
  std::sort(lists.begin(), lists.end(), [](const NameList& a, const NameList& b) { return a.file < b.file; });
  return lists;
}

/// One finding a list, whatever the number of names.
void report(Fault fault, const fs::path& list, std::string_view what, const std::vector<std::string>& names,
            std::vector<Finding>& findings) {
  if (names.empty()) return;
  const std::string more = names.size() > 1 ? fmt::format(" and {} more", names.size() - 1) : "";
  findings.push_back({fault, true, list, fmt::format("{} '{}'{}", what, names.front(), more)});
}

void examine_list(const NameList& list, const std::set<std::string>& names, std::vector<Finding>& findings) {
  std::set<std::string> seen;
  std::vector<std::string> missing, repeated;
  for (const std::string& name : list.names) {
    if (!seen.insert(name).second) {
      repeated.push_back(name);
    } else if (!names.contains(name)) {
      missing.push_back(name);
    }
  }
  report(Fault::list_missing, list.file, "names what is not there:", missing, findings);
  report(Fault::list_repeat, list.file, "names twice", repeated, findings);
}

}  // namespace

ListedNames examine_lists(const fs::path& dir, const std::set<std::string>& names, std::vector<Finding>& findings) {
  ListedNames listed;
  std::map<std::string, fs::path> training_list_of;
  const std::vector<NameList> lists = find_lists(dir, names);
  for (const NameList& list : lists) {
    examine_list(list, names, findings);
    if (!is_for_training(list.file)) continue;
    for (const std::string& name : list.names) training_list_of.emplace(name, list.file);
    listed.training.insert(list.names.begin(), list.names.end());
  }
  for (const NameList& list : lists) {
    if (!is_for_test(list.file) || is_called(list.file, "train")) continue;
    const std::set<std::string> unique(list.names.begin(), list.names.end());
    std::map<fs::path, std::vector<std::string>> shared;
    for (const std::string& name : unique) {
      if (const auto found = training_list_of.find(name); found != training_list_of.end()) {
        shared[found->second].push_back(name);
      }
    }
    for (const auto& [training_list, both] : shared) {
      report(Fault::list_overlap, list.file, fmt::format("shares with {}:", training_list.filename().string()), both,
             findings);
    }
    listed.test.insert(unique.begin(), unique.end());
  }
  return listed;
}

}  // namespace codmoe::data
