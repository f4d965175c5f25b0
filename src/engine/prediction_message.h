// Predictions as ranks send them to each other.
#pragma once

#include <string>
#include <vector>

#include "codmoe/engine/predictor.h"

namespace codmoe::engine {

/// Without photographs.
std::string write_predictions(const std::vector<FilePrediction>& predictions);
std::vector<FilePrediction> read_predictions(const std::string& message);

}  // namespace codmoe::engine
