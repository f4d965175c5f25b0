// Evaluations as text: terminal table, JSON, CSV, and tables for a README or a paper. Columns are those of
// metrics::columns().
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "codmoe/core/options_json.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// Headline scores, one line a dataset and run, then the conventions, the inputs' checksums, the scores' 95 %
/// intervals, the scores by group (see groups.h) and the notes.
std::string format_table(std::span<const Evaluation> runs);

/// {"datasets": {NAME: {"n": …, "Smeasure": …, …}}, "conventions": …, "notes": {NAME: […]}}; of several runs
/// {"runs": {RUN: {"datasets": …, "notes": …}}, "conventions": …}. An undefined score is null; notes only where any.
/// Beside "datasets" also "intervals": {NAME: {"Smeasure": [low, high], …}} of the headline scores, "inputs": {NAME:
/// {"masks": …, "predictions": …}} with their checksums, and "groups": {NAME: {GROUPING: {GROUP: {"n": …, "Smeasure":
/// …}}}}, which "group_conventions" explains beside "conventions".
/// Where a model ran, beside "datasets": {"experts": {NAME: {LAYER: {GROUP: {"n": …, "load": {EXPERT: …}}}}}} with the
/// groups of expert_loads().
core::Json to_json(std::span<const Evaluation> runs);

/// One line an image: run, dataset, name, height, width, foreground pixels, and every score but the pooled ones.
std::string to_csv(std::span<const Evaluation> runs);

/// What each image used: one line an image, layer and expert it used, highest weight first (rank 1). Columns: run,
/// dataset, name, layer, expert, rank, share, weight; the last two as in ExpertUse.
std::string to_routing_csv(std::span<const Evaluation> runs);

/// The mean curves: one line a dataset, run and threshold 0 … 255. Columns: run, dataset, threshold, precision, recall,
/// Fm, Em. The precision-recall curve is one against the other.
std::string to_curves_csv(std::span<const Evaluation> runs);

/// Headline scores as a table of GitHub's Markdown, the best of a dataset's runs in bold; then the conventions and the
/// inputs' checksums.
std::string to_markdown(std::span<const Evaluation> runs);

/// The same as a tabular of LaTeX for the package booktabs, with the papers' symbols; the conventions and checksums as
/// comments.
std::string to_latex(std::span<const Evaluation> runs);

/// @throws core::Error where the file cannot be written
void write_json(const std::filesystem::path& path, std::span<const Evaluation> runs);
/// @throws core::Error where the file cannot be written
void write_csv(const std::filesystem::path& path, std::span<const Evaluation> runs);
/// @throws core::Error where the file cannot be written
void write_routing_csv(const std::filesystem::path& path, std::span<const Evaluation> runs);

}  // namespace codmoe::report
