#include "mat.h"

#include <ATen/ATen.h>

namespace codmoe::data {

cv::Mat as_mat(const at::Tensor& image_u8) {
  TORCH_CHECK(image_u8.scalar_type() == at::kByte && image_u8.device().is_cpu() && image_u8.is_contiguous(),
              "image: must be contiguous uint8 on the CPU, is ", image_u8.toString());
  const bool grey = image_u8.dim() == 2;
  TORCH_CHECK(grey || (image_u8.dim() == 3 && image_u8.size(2) == 3), "image: must be [H, W] or [H, W, 3], is ",
              image_u8.sizes());
  TORCH_CHECK(image_u8.numel() > 0, "image: must not be empty, is ", image_u8.sizes());
  return {static_cast<int>(image_u8.size(0)), static_cast<int>(image_u8.size(1)), grey ? CV_8UC1 : CV_8UC3,
          image_u8.data_ptr<uint8_t>()};
}

at::Tensor new_image(int64_t height, int64_t width, int channels) {
  return channels == 1 ? at::empty({height, width}, at::kByte) : at::empty({height, width, channels}, at::kByte);
}

}  // namespace codmoe::data
