// What TensorBoard shows of a validation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codmoe/data/dataset.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/tfevents.h"

namespace codmoe::engine {

/// Photograph, mask and predicted map side by side, of `count` samples spread over the dataset (all, where it has
/// fewer).
class PredictionImages {
 public:
  PredictionImages(std::shared_ptr<const data::Dataset> dataset, int64_t count);

  /// That make() gives.
  int64_t count() const { return count_; }

  /// In one batch, as the model is now. Files are read the first time alone.
  std::vector<tfevents::Image> make(Predictor& predictor);

 private:
  struct Shown {
    std::string tag;
    at::Tensor sample;     // photograph and mask
    PredictorInput input;  // of a map of the size that is shown
  };
  Shown read(const data::Item& item, const Predictor& predictor) const;

  std::shared_ptr<const data::Dataset> dataset_;
  int64_t count_;
  std::vector<Shown> shown_;
};

}  // namespace codmoe::engine
