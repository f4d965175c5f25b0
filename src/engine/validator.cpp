#include "codmoe/engine/validator.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/data/resized_batches.h"
#include "codmoe/metrics/batch_scores.h"
#include "codmoe/metrics/registry.h"
#include "prediction_images.h"

namespace codmoe::engine {

namespace {

std::vector<data::Batch> keep_on_device(const std::shared_ptr<const data::Dataset>& dataset,
                                        const data::LoaderOptions& loader, c10::Device device) {
  constexpr double mebibyte = 1 << 20;
  constexpr int64_t bytes_a_pixel = 4;  // of photograph and mask
  const auto bytes = bytes_a_pixel * loader.size * loader.size * dataset->size();
  const auto free = core::free_memory(device);
  const auto what = fmt::format("{} samples of {} x {} pixels", dataset->size(), loader.size, loader.size);
  if (bytes > free) {
    throw core::Error(fmt::format("{}: {} take {:.0f} MiB, {} has {:.0f}; engine.val_resolution: original keeps none",
                                  dataset->dir().string(), what, static_cast<double>(bytes) / mebibyte, device.str(),
                                  static_cast<double>(free) / mebibyte));
  }
  auto batches = data::resized_batches(dataset, loader, device);
  spdlog::info("engine.val_resolution: network, {} kept in {:.0f} MiB of {}", what,
               static_cast<double>(bytes) / mebibyte, device.is_cpu() ? "main memory" : device.str());
  return batches;
}

}  // namespace

Validator::Validator(const TrainOptions& options, c10::Device device, const Ranks& ranks)
    : dataset_(std::make_shared<const data::Dataset>(options.data.val)),
      batch_size_(options.data.loader.batch_size),
      ranks_(ranks),
      images_(std::make_unique<PredictionImages>(dataset_, options.engine.log_images)) {
  if (options.engine.val_resolution == ValResolution::original) return;
  kept_ = keep_on_device(dataset_, options.data.loader, device);
}

Validator::~Validator() = default;

int64_t Validator::kept_bytes() const {
  int64_t bytes = 0;
  for (const auto& batch : kept_) bytes += static_cast<int64_t>(batch.images.nbytes() + batch.masks.nbytes());
  return bytes;
}

Scores Validator::scores(Predictor& predictor) const {
  return kept_.empty() ? scores_at_original(predictor) : scores_at_network(predictor);
}

Scores Validator::scores_at_original(Predictor& predictor) const {
  report::Evaluation evaluation;
  evaluate_dataset(predictor, "val", *dataset_, batch_size_, evaluation, /*progress=*/{}, ranks_);
  Scores scores;
  if (ranks_.leads()) {
    const auto summary = evaluation.dataset("val").summary();
    for (std::size_t i = 0; i < summary.values.size(); ++i) scores[metrics::columns()[i].name] = summary.values[i];
  }
  return ranks_.share(scores).get<Scores>();
}

Scores Validator::scores_at_network(Predictor& predictor) const {
  metrics::BatchScores scores;
  const auto ranks = static_cast<std::size_t>(ranks_.ranks()), rank = static_cast<std::size_t>(ranks_.rank());
  for (std::size_t first = 0; first < kept_.size(); first += ranks) {
    if (first + rank < kept_.size()) {
      const auto& batch = kept_[first + rank];
      scores.add(predictor.score_resized(batch.images, batch.masks.squeeze(1)), batch.images.size(0));
    } else {
      predictor.take_part();
    }
  }
  if (ranks_.group() != nullptr) scores.add_up(*ranks_.group());
  return scores.summary();
}

std::vector<tfevents::Image> Validator::pictures(Predictor& predictor) {
  if (ranks_.leads()) return images_->make(predictor);
  if (images_->count() > 0) predictor.take_part();
  return {};
}

core::Json logged_scores(const Scores& scores, const EngineOptions& engine) {
  auto logged = core::Json::object();
  for (const auto& column : metrics::columns()) {
    if (!column.headline && column.name != engine.best) continue;
    if (const auto score = scores.find(column.name); score != scores.end()) logged[column.name] = score->second;
  }
  return logged;
}

}  // namespace codmoe::engine
