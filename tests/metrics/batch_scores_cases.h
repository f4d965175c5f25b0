// BatchScores against score_image, on any device.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "codmoe/metrics/batch_scores.h"
#include "codmoe/metrics/scores.h"
#include "metrics/vectors.h"

namespace codmoe::metrics {

inline void expect_scores_of_the_cpu(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw, c10::Device device) {
  BatchScores batch;
  batch.add(pred_bhw.to(device), mask_bhw.to(device));
  ScoreAccumulator images;
  for (int64_t i = 0; i < pred_bhw.size(0); ++i) images.add(score_image(pred_bhw[i], mask_bhw[i]));
  const Summary expected = images.summary();
  for (const auto& [name, value] : batch.summary()) {
    const double truth = expected.at(name);
    EXPECT_TRUE(std::abs(value - truth) <= 1e-9 || (std::isnan(value) && std::isnan(truth)))
        << name << ": " << value << ", not " << truth;
  }
}

/// Every mask with every prediction whose scores don't hang on numpy's rounding, one by one and as one batch.
inline void expect_vectors_of_the_cpu(int64_t height, int64_t width, c10::Device device) {
  std::vector<at::Tensor> preds, masks;
  for (const char* mask :
       {"empty", "full", "pixel", "first_pixel", "ellipse", "hole", "noise", "sparse", "grid", "grey"}) {
    for (const char* pred : {"zero", "white", "noise", "binary", "pixel", "mask", "inverse", "soft", "good"}) {
      SCOPED_TRACE(std::string(mask) + " mask, " + pred + " prediction");
      const auto pair = make_vector({mask, pred, height, width, 5});
      expect_scores_of_the_cpu(pair.pred_hw.unsqueeze(0), pair.mask_hw.unsqueeze(0), device);
      preds.push_back(pair.pred_hw);
      masks.push_back(pair.mask_hw);
    }
  }
  expect_scores_of_the_cpu(at::stack(preds), at::stack(masks), device);
}

}  // namespace codmoe::metrics
