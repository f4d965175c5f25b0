#pragma once

#include <span>
#include <string>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// The headline scores with their intervals, n, checksums and conventions, the best of a dataset's runs in bold; then,
/// folded, all other scores.
std::string score_tables_html(std::span<const Evaluation> runs);

/// The headline scores of each group of images (see groups.h), and what the groups are.
std::string group_table_html(const DatasetResult& dataset);

}  // namespace codmoe::report
