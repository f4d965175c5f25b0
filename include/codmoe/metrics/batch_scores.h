// The headline scores of batches, as tensor operations on the device they lie on: for validation inside training.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codmoe/dist/group.h"

namespace codmoe::metrics {

/// Means over images of Smeasure, wFmeasure, MAE, IoU and adaptive, mean and maximal Em and Fm, with the definitions of
/// score_image, in float64. Nothing is copied to the host, nor waited for, before summary(). Differs from score_image
/// where that follows numpy's rounding to the last bit: a pixel exactly at the adaptive threshold may fall on its other
/// side, and a quadrant of the image whose prediction is constant, but neither 0 nor 1, counts as exactly constant.
class BatchScores {
 public:
  /// @param pred_bhw uint8 [B, H, W]: maps of one size; @param mask_bhw uint8 [B, H, W] 0…255, on the same device
  /// @throws c10::Error for other shapes, types or devices
  void add(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw) { add(sums(pred_bhw, mask_bhw), pred_bhw.size(0)); }

  /// What add() adds of a batch, in one row, float64. Nothing waits for it: a captured CUDA graph can hold this.
  static at::Tensor sums(const at::Tensor& pred_bhw, const at::Tensor& mask_bhw);
  /// `sums` of so many images.
  void add(const at::Tensor& sums, int64_t images);

  /// Takes in what the other ranks added, on each of them; one may have added nothing.
  void add_up(dist::Group& group);

  int64_t size() const { return n_; }

  /// Of what summary() has: names of columns().
  static std::vector<std::string> names();

  /// By names(). @throws core::Error where nothing was added
  std::map<std::string, double> summary() const;

 private:
  int64_t n_ = 0;
  at::Tensor sums_;  // float64: one a score that is a mean over images, then the curves [2, 256] of E and F
};

/// What score_image calls wFmeasure, of each image: float64 [B].
/// @param value_bhw float64 [B, H, W] in [0, 1]; @param mask_bhw bool [B, H, W]
at::Tensor weighted_f_measure(const at::Tensor& value_bhw, const at::Tensor& mask_bhw);

/// The mask's pixel nearest to each pixel; of several the leftmost, then the uppermost. Nonsense for an empty mask.
struct NearestPixel {
  at::Tensor index_bn;             ///< int64 [B, H * W]: row * W + column
  at::Tensor squared_distance_bn;  ///< int64 [B, H * W]
};

/// Exact, by columns, then by all pairs of columns of a row: H * W * W steps an image, some rows at a time.
/// @param mask_bhw bool [B, H, W]
NearestPixel nearest_foreground(const at::Tensor& mask_bhw);

}  // namespace codmoe::metrics
