// Scores of images as write_csv wrote them, read.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace codmoe::report {

using ImageName = std::pair<std::string, std::string>;  ///< dataset, name
using ScoresByImage = std::map<ImageName, std::vector<double>>;

/// The columns `scores` of each image, in their order.
/// @throws core::Error where the file cannot be read or lacks a column, or holds several runs, an image twice, or a
///   score that is no number
ScoresByImage read_scores(const std::filesystem::path& csv, std::span<const std::string> scores);

}  // namespace codmoe::report
