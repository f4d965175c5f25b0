// The lists of names beside a dataset's folders.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "codmoe/data/doctor.h"

namespace codmoe::data {

/// Names that training and that test lists hold.
struct ListedNames {
  std::set<std::string> training, test;
};

/// Examines every list in `dir` against the set's names.
ListedNames examine_lists(const std::filesystem::path& dir, const std::set<std::string>& names,
                          std::vector<Finding>& findings);

}  // namespace codmoe::data
