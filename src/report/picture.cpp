#include "picture.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/data/image_file.h"
#include "text.h"

namespace codmoe::report {
namespace {

constexpr int jpeg_quality = 85;

std::string embedded(const char* format, const std::string& file, const at::Tensor& image, std::string_view alt) {
  return fmt::format("<img src=\"data:image/{};base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">", format,
                     base64(file), image.size(1), image.size(0), escape_markup(alt));
}

}  // namespace

std::string base64(std::string_view bytes) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? static_cast<uint8_t>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

at::Tensor shrink(const at::Tensor& image, int64_t longest_side) {
  const int64_t longest = std::max(image.size(0), image.size(1));
  if (longest <= longest_side) return image.clone();
  const auto shrunk = [&](int64_t side) { return std::max<int64_t>(1, (side * longest_side + longest / 2) / longest); };
  return data::resize(image, shrunk(image.size(0)), shrunk(image.size(1)), data::Interpolation::area);
}

std::string embedded_picture(const at::Tensor& image, std::string_view alt) {
  return embedded("png", data::encode_png(image), image, alt);
}

std::string embedded_photograph(const at::Tensor& image, std::string_view alt) {
  return embedded("jpeg", data::encode_jpeg(image, jpeg_quality), image, alt);
}

}  // namespace codmoe::report
