// What the names in a dataset's folders show, without opening a file.
#pragma once

#include <filesystem>
#include <vector>

#include "codmoe/data/dataset.h"
#include "codmoe/data/doctor.h"

namespace codmoe::data {

/// The pairs that can be opened, by name; everything else becomes a finding.
std::vector<Item> find_pairs(const DatasetFolders& folders, std::vector<Finding>& findings);

}  // namespace codmoe::data
