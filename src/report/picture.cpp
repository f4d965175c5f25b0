#include "picture.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "codmoe/core/files.h"
#include "codmoe/data/image_file.h"
#include "text.h"

namespace codmoe::report {

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

std::string embedded_picture(const at::Tensor& image, std::string_view alt, const std::filesystem::path& scratch) {
  const std::filesystem::path file = scratch / fmt::format(".picture-{}.png", ::getpid());
  data::write_png(file, image);
  const std::string png = core::read_file(file);
  std::filesystem::remove(file);
  return fmt::format("<img src=\"data:image/png;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\">", base64(png),
                     image.size(1), image.size(0), escape_markup(alt));
}

}  // namespace codmoe::report
