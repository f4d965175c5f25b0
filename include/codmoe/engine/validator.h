// The model measured on a dataset, again and again.
#pragma once

#include <memory>
#include <vector>

#include "codmoe/core/options_json.h"
#include "codmoe/data/batch_source.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/selection.h"
#include "codmoe/engine/tfevents.h"

namespace codmoe::engine {

class PredictionImages;

/// What training validates by, at engine.val_resolution. At `original` files are decoded each time, and scores are
/// those of codmoe-eval. At `network` photographs and masks are decoded and resized here, once, and stay on the device,
/// where maps are scored; masks are object where more than half of a pixel is.
class Validator {
 public:
  /// @param device  that the predictors' models lie on
  /// @throws core::Error for a dataset that can't be read, or that the device's free memory doesn't hold
  Validator(const TrainOptions& options, c10::Device device, const Ranks& ranks = {});
  ~Validator();

  /// Bytes of the samples that stay on the device.
  int64_t kept_bytes() const;

  /// The same on all ranks, each of which predicts a part. Where the set is kept, waits for the device at the end
  /// alone, as far as the model's layers don't wait.
  Scores scores(Predictor& predictor) const;

  /// For TensorBoard: photograph, mask and map of engine.log_images samples, whose files are read the first time alone.
  /// On the leader; every rank must call it, and the others get none.
  std::vector<tfevents::Image> pictures(Predictor& predictor);

 private:
  Scores scores_at_original(Predictor& predictor) const;
  Scores scores_at_network(Predictor& predictor) const;

  std::shared_ptr<const data::Dataset> dataset_;
  int64_t batch_size_;
  Ranks ranks_;
  std::vector<data::Batch> kept_;  // at `network`
  std::unique_ptr<PredictionImages> images_;
};

/// What the log says of a validation: of the scores that it brought those that a table shows, and the one that the best
/// is chosen by.
core::Json logged_scores(const Scores& scores, const EngineOptions& engine);

}  // namespace codmoe::engine
