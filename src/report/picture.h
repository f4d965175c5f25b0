#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace codmoe::report {

/// RFC 4648.
std::string base64(std::string_view bytes);

/// uint8 [H, W] or [H, W, 3], shrunk so that its longest side is at most `longest_side`.
at::Tensor shrink(const at::Tensor& image, int64_t longest_side);

/// An <img> that carries the image as PNG. `scratch` is a folder for the encoder's file, which is removed again.
std::string embedded_picture(const at::Tensor& image, std::string_view alt, const std::filesystem::path& scratch);

}  // namespace codmoe::report
