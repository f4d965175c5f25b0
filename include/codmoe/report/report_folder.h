// All forms of an evaluation, in one folder.
#pragma once

#include <filesystem>
#include <span>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// Writes into `dir` index.html (see html.h) and its numbers: scores.json, images.csv, curves.csv, table.md, table.tex
/// and, where a model ran, routing.csv (see formats.h).
/// @throws core::Error where a file cannot be read or written
void write_report(const std::filesystem::path& dir, std::span<const Evaluation> runs);

}  // namespace codmoe::report
