#pragma once

#include <string>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// uint8 [H, W, 3]: what a prediction's decisions are (value > 0.5): found pixels of the object are light, missed ones
/// red, false ones blue, the rest is dark. @param mask_hw, pred_hw uint8 [H, W]; @param level see
/// ImageResult::decision_level
at::Tensor error_map(const at::Tensor& mask_hw, const at::Tensor& pred_hw, double level);

/// The best, median and worst images of a dataset by IoU, or all of few: photograph where one is known, mask and, where
/// a thumbnail was kept, prediction and error map.
std::string image_cards_html(const DatasetResult& dataset);

}  // namespace codmoe::report
