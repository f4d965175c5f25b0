// Scores of predictions against the masks of one or more datasets, image by image.
//
//   Evaluation evaluation("swift", {});
//   for (const data::Item& item : dataset.items()) evaluation.add("CAMO", item, predict(item.image));
//   fmt::print("{}", format_table({&evaluation, 1}));
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/dataset.h"
#include "codmoe/metrics/scores.h"
#include "codmoe/report/intervals.h"
#include "codmoe/report/object_layout.h"

namespace codmoe::report {

struct EvaluationOptions {
  metrics::ScoreOptions score;
  bool strict = false;    ///< refuse a prediction of another size than its mask's instead of resizing it
  int64_t threads = 0;    ///< of evaluate_folders; 0: one a core
  int64_t thumbnail = 0;  ///< longest side of the copy kept of each prediction for a report's pictures; 0: none kept

  template <class Visitor>
  void fields(Visitor&& visit) {
    score.fields(visit);
    visit("strict", strict);
    visit("threads", threads, core::between(0, 1024));
  }
};

/// The thumbnails that write_html shows at best.
inline constexpr int64_t report_thumbnail = 256;

struct Size {
  int64_t height = 0;
  int64_t width = 0;
};

/// A mixture-of-experts layer of the model that was evaluated, by names alone.
struct ExpertLayer {
  std::string name;                  ///< "moe.0"
  std::vector<std::string> experts;  ///< no two alike
};

/// What an image used of one layer; by expert.
struct ExpertUse {
  std::vector<double> share;   ///< of the router's decisions for the image, how many chose the expert; sum k
  std::vector<double> weight;  ///< mean weight in the mixture; sum 1
};

/// One scored prediction.
struct ImageResult {
  data::Item item;                   ///< `image` may be empty: no photograph known
  Size size;                         ///< of the mask
  std::optional<Size> resized_from;  ///< the prediction's own size where it was not the mask's
  int mask_max = 0;                  ///< highest level of the mask
  ObjectLayout objects;              ///< of the mask
  double decision_level = 127.5;     ///< grey levels above it have a value > 0.5; set where a thumbnail is asked for
  uint64_t mask_hash = 0;            ///< see checksum.h
  uint64_t pred_hash = 0;            ///< of the prediction in its own size
  metrics::ImageScores scores;
  std::vector<double> values;         ///< in the order of metrics::columns()
  at::Tensor thumbnail_hw;            ///< uint8; undefined where none was asked for
  std::vector<ExpertUse> expert_use;  ///< in the order of Evaluation::layers(); empty where no model ran

  /// @throws core::Error for a name not in metrics::columns()
  double at(std::string_view metric) const;
};

/// Reads the item's mask and scores a prediction; one of another size is first resized to the mask's (bilinear).
/// Safe to call from several threads.
/// @param pred_hw uint8 [H, W], CPU
/// @throws core::Error naming the mask where it cannot be read, or, where options.strict, the image whose prediction is
/// of another size
ImageResult score_item(const data::Item& item, const at::Tensor& pred_hw, const EvaluationOptions& options);

/// All results of one dataset, in the order added.
class DatasetResult {
 public:
  explicit DatasetResult(std::string name) : name_(std::move(name)) {}
  void add(ImageResult result);

  const std::string& name() const { return name_; }
  const std::vector<ImageResult>& images() const { return images_; }
  /// See bootstrap_intervals. Made at the first call and kept: not to be called by several threads at once.
  const std::vector<Interval>& intervals() const;
  metrics::Summary summary() const { return accumulator_.summary(); }
  /// What a reader of the scores should know: predictions that were resized, masks that look wrong, undefined scores.
  std::vector<std::string> notes() const;

 private:
  std::string name_;
  std::vector<ImageResult> images_;
  mutable std::vector<Interval> intervals_;  // empty: not made yet
  metrics::ScoreAccumulator accumulator_;
};

/// One model's (or folder's) results on its datasets.
class Evaluation {
 public:
  explicit Evaluation(std::string run = "", const EvaluationOptions& options = {});

  /// Scores at once; the dataset is made at its first image. See score_item.
  void add(const std::string& dataset, const data::Item& item, const at::Tensor& pred_hw);
  void add(const std::string& dataset, ImageResult result);

  /// The layers that the images' `expert_use` speaks of.
  void set_layers(std::vector<ExpertLayer> layers) { layers_ = std::move(layers); }

  /// How the model's maps were put together of several views of an image; empty where of one, or where unknown.
  void set_test_time(std::string test_time) { test_time_ = std::move(test_time); }

  const std::string& run() const { return run_; }
  const std::vector<ExpertLayer>& layers() const { return layers_; }
  const std::string& test_time() const { return test_time_; }
  const EvaluationOptions& options() const { return options_; }
  /// In the order of their first image.
  const std::vector<DatasetResult>& datasets() const { return datasets_; }
  /// @throws core::Error for an unknown name
  const DatasetResult& dataset(std::string_view name) const;

 private:
  std::string run_;
  EvaluationOptions options_;
  std::vector<ExpertLayer> layers_;
  std::string test_time_;
  std::vector<DatasetResult> datasets_;
};

/// How the runs of one table, which are scored alike, are scored.
metrics::ScoreOptions score_options(std::span<const Evaluation> runs);

/// One line on how the scores are defined and the maps were made, for tables of at least one run.
std::string conventions(std::span<const Evaluation> runs);

}  // namespace codmoe::report
