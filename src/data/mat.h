// Tensors and OpenCV matrices over the same memory. OpenCV stays inside src/data.
#pragma once

#include <ATen/core/Tensor.h>

#include <opencv2/core.hpp>

namespace codmoe::data {

/// A view of contiguous uint8 [H, W] or [H, W, 3]; the tensor must outlive it.
cv::Mat as_mat(const at::Tensor& image_u8);

/// New contiguous uint8 memory of this size; channels 1 gives [H, W], 3 gives [H, W, 3].
at::Tensor new_image(int64_t height, int64_t width, int channels);

}  // namespace codmoe::data
