#include "codmoe/report/evaluation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "picture.h"
#include "text.h"

namespace codmoe::report {
namespace {

std::string size_text(const Size& size) { return fmt::format("{}x{}", size.width, size.height); }

// "3 of 50 SAID: a, b, c", where `of_image` gives each image's part in the list, empty where it does not belong.
template <class OfImage>
void add_note(std::vector<std::string>& notes, const std::vector<ImageResult>& images, const char* said,
              const OfImage& of_image) {
  std::vector<std::string> names;
  for (const ImageResult& image : images) {
    if (std::string text = of_image(image); !text.empty()) names.push_back(std::move(text));
  }
  if (names.empty()) return;
  notes.push_back(fmt::format("{} of {} {}: {}", names.size(), images.size(), said, list_names(names, 3)));
}

// The middle of the levels where they are stretched. @param pred_hw in the mask's size
double decision_level_of(const at::Tensor& pred_hw, const metrics::ScoreOptions& options) {
  const auto* begin = pred_hw.const_data_ptr<uint8_t>();
  const auto [low, high] = std::minmax_element(begin, begin + pred_hw.numel());
  return options.normalize && *low < *high ? (*low + *high) / 2.0 : 127.5;
}

}  // namespace

double ImageResult::at(std::string_view metric) const {
  const metrics::Summary summary{1, values, {}};
  return summary.at(metric);
}

ImageResult score_item(const data::Item& item, const at::Tensor& pred_hw, const EvaluationOptions& options) {
  TORCH_CHECK(pred_hw.dim() == 2, item.name, ": a prediction must be [H, W], this is ", pred_hw.sizes());
  const at::Tensor mask = data::read_mask(item);
  ImageResult result;
  result.item = item;
  result.size = {mask.size(0), mask.size(1)};
  result.mask_max = *std::max_element(mask.const_data_ptr<uint8_t>(), mask.const_data_ptr<uint8_t>() + mask.numel());
  result.objects = object_layout(mask);
  result.mask_hash = hash_image(mask);
  result.pred_hash = hash_image(pred_hw);
  at::Tensor pred = pred_hw.contiguous();
  if (pred.sizes() != mask.sizes()) {
    result.resized_from = {pred.size(0), pred.size(1)};
    if (options.strict) {
      throw core::Error(fmt::format("{}: the prediction is {}, its mask {}; without strict it would be resized",
                                    item.name, size_text(*result.resized_from), size_text(result.size)));
    }
    pred = data::resize(pred, mask.size(0), mask.size(1), data::Interpolation::bilinear);
  }
  result.scores = metrics::score_image(pred, mask, options.score);
  result.values = metrics::summarize(result.scores).values;
  if (options.thumbnail > 0) {
    result.decision_level = decision_level_of(pred, options.score);
    result.thumbnail_hw = shrink(pred, options.thumbnail);
  }
  return result;
}

void DatasetResult::add(ImageResult result) {
  accumulator_.add(result.scores);
  images_.push_back(std::move(result));
  intervals_.clear();
}

const std::vector<Interval>& DatasetResult::intervals() const {
  if (intervals_.empty()) intervals_ = bootstrap_intervals(images_);
  return intervals_;
}

std::vector<std::string> DatasetResult::notes() const {
  std::vector<std::string> notes;
  add_note(notes, images_, "predictions resized to their mask's size", [](const ImageResult& image) {
    if (!image.resized_from) return std::string();
    return fmt::format("{} ({} to {})", image.item.name, size_text(*image.resized_from), size_text(image.size));
  });
  add_note(notes, images_, "masks hold values, but none above 128, and count as empty", [](const ImageResult& image) {
    if (image.mask_max == 0 || image.mask_max > 128) return std::string();
    return fmt::format("{} (highest {})", image.item.name, image.mask_max);
  });
  for (const metrics::Column& column : metrics::columns()) {
    if (column.statistic != metrics::Statistic::value) continue;
    const std::string said = column.name + " values undefined, and so the mean";
    add_note(notes, images_, said.c_str(), [&column](const ImageResult& image) {
      const bool scored = !column.extended || !image.scores.curves.empty();
      return scored && std::isnan(image.at(column.name)) ? image.item.name : std::string();
    });
  }
  return notes;
}

Evaluation::Evaluation(std::string run, const EvaluationOptions& options) : run_(std::move(run)), options_(options) {}

void Evaluation::add(const std::string& dataset, const data::Item& item, const at::Tensor& pred_hw) {
  add(dataset, score_item(item, pred_hw, options_));
}

void Evaluation::add(const std::string& dataset, ImageResult result) {
  const auto found = std::find_if(datasets_.begin(), datasets_.end(),
                                  [&](const DatasetResult& candidate) { return candidate.name() == dataset; });
  (found != datasets_.end() ? *found : datasets_.emplace_back(dataset)).add(std::move(result));
}

const DatasetResult& Evaluation::dataset(std::string_view name) const {
  for (const DatasetResult& candidate : datasets_) {
    if (candidate.name() == name) return candidate;
  }
  throw core::Error(fmt::format("no dataset {} was evaluated", name));
}

metrics::ScoreOptions score_options(std::span<const Evaluation> runs) {
  return runs.empty() ? metrics::ScoreOptions{} : runs.front().options().score;
}

std::string conventions(std::span<const Evaluation> runs) {
  std::string text = fmt::format(
      "PySODMetrics 1.6.2: mask > 128, prediction {}, 256 thresholds, mean and max of the dataset's mean curve, IoU of "
      "value > 0.5 averaged over images",
      score_options(runs).normalize ? "stretched to its minimum and maximum" : "as it is");
  std::set<std::string> said{""};
  for (const Evaluation& run : runs) {
    if (said.insert(run.test_time()).second)
      append(text, "; test-time augmentation of checkpoints: {}", run.test_time());
  }
  return text;
}

}  // namespace codmoe::report
