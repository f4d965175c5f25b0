#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace codmoe::report {

/// RFC 4648.
std::string base64(std::string_view bytes);

/// uint8 [H, W] or [H, W, 3], shrunk so that its longest side is at most `longest_side`.
at::Tensor shrink(const at::Tensor& image, int64_t longest_side);

/// An <img> that carries the image as PNG, to the pixel.
/// @param image uint8 [H, W] or [H, W, 3]
std::string embedded_picture(const at::Tensor& image, std::string_view alt);

/// An <img> that carries the image as JPEG, which for photographs is several times smaller.
/// @param image uint8 [H, W, 3]
std::string embedded_photograph(const at::Tensor& image, std::string_view alt);

}  // namespace codmoe::report
