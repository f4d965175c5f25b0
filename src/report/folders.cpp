#include "codmoe/report/folders.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <system_error>

#include "codmoe/core/error.h"
#include "codmoe/core/parallel.h"
#include "codmoe/data/image_file.h"
#include "text.h"

namespace codmoe::report {
namespace {

using FilesByName = std::map<std::string, std::filesystem::path>;

constexpr std::size_t most_names = 20;

FilesByName files_by_name(const std::filesystem::path& dir) {
  FilesByName files;
  for (const std::filesystem::path& path : data::list_images(dir)) {
    const auto [entry, is_new] = files.emplace(path.stem().string(), path);
    if (is_new) continue;
    throw core::Error(fmt::format("{}: {} and {} have one name", dir.string(), entry->second.filename().string(),
                                  path.filename().string()));
  }
  if (files.empty()) throw core::Error(fmt::format("{}: no images in this folder", dir.string()));
  return files;
}

void check_pairs(const std::filesystem::path& pred_dir, const FilesByName& predictions,
                 const std::vector<data::Item>& items) {
  std::set<std::string> expected;
  std::vector<std::string> missing;
  for (const data::Item& item : items) {
    expected.insert(item.name);
    if (!predictions.contains(item.name)) missing.push_back(item.name);
  }
  std::vector<std::string> extra;
  for (const auto& [name, path] : predictions) {
    if (!expected.contains(name)) extra.push_back(name);
  }
  std::vector<std::string> complaints;
  if (!missing.empty()) {
    complaints.push_back(fmt::format("{} of {} masks have no prediction: {}", missing.size(), items.size(),
                                     list_names(missing, most_names)));
  }
  if (!extra.empty()) {
    complaints.push_back(fmt::format("{} of {} predictions have no mask: {}", extra.size(), predictions.size(),
                                     list_names(extra, most_names)));
  }
  if (!complaints.empty()) throw core::Error(fmt::format("{}: {}", pred_dir.string(), fmt::join(complaints, "; ")));
}

// The dataset folder whose masks are in `gt_dir`, if it is one.
std::optional<std::filesystem::path> dataset_around(const std::filesystem::path& gt_dir) {
  const std::filesystem::path folder = std::filesystem::weakly_canonical(gt_dir);
  std::error_code nowhere;
  try {
    const data::DatasetFolders folders = data::find_folders(folder.parent_path());
    if (std::filesystem::equivalent(folders.masks, folder, nowhere)) return folder.parent_path();
  } catch (const core::Error&) {  // the masks stand alone, as they may
  }
  return std::nullopt;
}

std::string folder_name(const std::filesystem::path& dir) {
  return std::filesystem::weakly_canonical(dir).filename().string();
}

}  // namespace

std::vector<data::Item> mask_items(const std::filesystem::path& gt_dir) {
  std::map<std::string, std::filesystem::path> photographs;  // they illustrate a report; no score hangs on them
  if (const auto dataset = dataset_around(gt_dir)) {
    for (const auto& path : data::list_images(data::find_folders(*dataset).images)) {
      photographs.emplace(path.stem().string(), path);
    }
  }
  std::vector<data::Item> items;
  for (const auto& [name, mask] : files_by_name(gt_dir)) items.push_back({name, photographs[name], mask});
  return items;
}

std::vector<PairedFiles> pair_files(const std::filesystem::path& pred_dir, const std::vector<data::Item>& items) {
  const FilesByName predictions = files_by_name(pred_dir);
  check_pairs(pred_dir, predictions, items);
  std::vector<PairedFiles> pairs;
  for (const data::Item& item : items) pairs.push_back({item, predictions.at(item.name)});
  return pairs;
}

void evaluate_files(const std::vector<PairedFiles>& pairs, const std::string& dataset, Evaluation& evaluation,
                    const std::function<void(int64_t)>& progress) {
  std::vector<ImageResult> results(pairs.size());
  const auto score = [&](int64_t i) {
    const PairedFiles& pair = pairs[static_cast<std::size_t>(i)];
    results[static_cast<std::size_t>(i)] =
        score_item(pair.item, data::read_mask(pair.prediction), evaluation.options());
  };
  core::parallel_for(static_cast<int64_t>(pairs.size()), evaluation.options().threads, score, progress);
  for (ImageResult& result : results) evaluation.add(dataset, std::move(result));
}

std::string dataset_name(const std::filesystem::path& gt_dir) {
  return folder_name(dataset_around(gt_dir).value_or(gt_dir));
}

Evaluation evaluate_folders(const std::filesystem::path& pred_dir, const std::filesystem::path& gt_dir,
                            const EvaluationOptions& options, const std::string& dataset) {
  Evaluation evaluation(folder_name(pred_dir), options);
  evaluate_files(pair_files(pred_dir, mask_items(gt_dir)), dataset.empty() ? dataset_name(gt_dir) : dataset,
                 evaluation);
  return evaluation;
}

}  // namespace codmoe::report
