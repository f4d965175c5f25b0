// Evaluations as a page to look at.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// Writes dir/index.html, one file that needs no other and no network: the tables, and for each run and dataset the
/// histogram of IoU, where a model ran the load of its experts by size of the object, and the best, median and worst
/// images with photograph, mask and prediction (predictions only where EvaluationOptions::thumbnail was set).
/// @throws core::Error where a file cannot be read or written
void write_html(const std::filesystem::path& dir, std::span<const Evaluation> runs,
                const std::string& title = "codmoe evaluation");

}  // namespace codmoe::report
