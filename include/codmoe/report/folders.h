// Scores of a folder of prediction maps.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "codmoe/data/dataset.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// A mask and the prediction for it.
struct PairedFiles {
  data::Item item;
  std::filesystem::path prediction;
};

/// The items whose masks are the image files of `gt_dir`, sorted by name; with photographs where `gt_dir` is the folder
/// of masks of a dataset and has them beside it.
/// @throws core::Error where there are none, or two of one name
std::vector<data::Item> mask_items(const std::filesystem::path& gt_dir);

/// Finds each item's prediction by its name without extension, in the order of the items.
/// @throws core::Error naming every item without prediction, every prediction without item, and files of one name
std::vector<PairedFiles> pair_files(const std::filesystem::path& pred_dir, const std::vector<data::Item>& items);

/// Scores every pair, on several threads; the results are added to `evaluation` under `dataset`, in the order of the
/// pairs. `progress`, where given, hears the number of pairs done, on one thread at a time.
/// @throws core::Error naming the file that cannot be read
void evaluate_files(const std::vector<PairedFiles>& pairs, const std::string& dataset, Evaluation& evaluation,
                    const std::function<void(int64_t)>& progress = {});

/// The name of a folder of masks: its own, or that of the dataset around it.
std::string dataset_name(const std::filesystem::path& gt_dir);

/// All predictions of one folder against all masks of another; the run takes the name of the first.
/// @param dataset empty: dataset_name(gt_dir)
/// @throws core::Error as mask_items, pair_files and evaluate_files
Evaluation evaluate_folders(const std::filesystem::path& pred_dir, const std::filesystem::path& gt_dir,
                            const EvaluationOptions& options = {}, const std::string& dataset = "");

}  // namespace codmoe::report
