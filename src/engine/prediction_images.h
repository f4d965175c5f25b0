// What TensorBoard shows of a validation.
#pragma once

#include <vector>

#include "codmoe/data/dataset.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/tfevents.h"

namespace codmoe::engine {

/// Photograph, mask and predicted map side by side, of `count` samples spread over the dataset (all, where it has
/// fewer).
std::vector<tfevents::Image> prediction_images(Predictor& predictor, const data::Dataset& dataset, int64_t count);

}  // namespace codmoe::engine
