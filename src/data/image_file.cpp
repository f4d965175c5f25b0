#include "codmoe/data/image_file.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "decode.h"
#include "mat.h"

namespace codmoe::data {
namespace {

constexpr std::array kSuffixes{".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"};

int opencv_code(Interpolation interpolation) {
  switch (interpolation) {
    case Interpolation::nearest:
      return cv::INTER_NEAREST;
    case Interpolation::bilinear:
      return cv::INTER_LINEAR;
    case Interpolation::area:
      return cv::INTER_AREA;
  }
  throw core::Error("resize: an interpolation without a code");
}

at::Tensor resize_with(const at::Tensor& image, int64_t height, int64_t width, int code) {
  at::Tensor resized = new_image(height, width, image.dim() == 2 ? 1 : 3);
  cv::Mat target = as_mat(resized);
  cv::resize(as_mat(image), target, target.size(), 0, 0, code);
  return resized;
}

/// INTER_AREA repeats pixels along an axis that grows, so the axes go one by one where they differ.
at::Tensor resize_area(const at::Tensor& image, int64_t height, int64_t width) {
  const int64_t shrunk_height = std::min(height, image.size(0));
  const int64_t shrunk_width = std::min(width, image.size(1));
  const at::Tensor shrunk = resize_with(image, shrunk_height, shrunk_width, cv::INTER_AREA);
  if (shrunk_height == height && shrunk_width == width) return shrunk;
  return resize_with(shrunk, height, width, cv::INTER_LINEAR);
}

std::string encode(const char* suffix, const at::Tensor& image_u8, const std::vector<int>& parameters) {
  const at::Tensor contiguous = image_u8.contiguous();
  cv::Mat image = as_mat(contiguous);
  if (image.channels() == 3) {
    cv::Mat bgr;
    cv::cvtColor(image, bgr, cv::COLOR_RGB2BGR);
    image = bgr;
  }
  std::vector<uint8_t> bytes;
  cv::imencode(suffix, image, bytes, parameters);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

bool is_image_name(const std::filesystem::path& path) {
  std::string suffix = path.extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return std::find(kSuffixes.begin(), kSuffixes.end(), suffix) != kSuffixes.end();
}

at::Tensor read_image(const std::filesystem::path& path, const NewImage& memory) {
  const cv::Mat bgr = decode(path, cv::IMREAD_COLOR);
  at::Tensor image = memory ? memory({bgr.rows, bgr.cols, 3}) : new_image(bgr.rows, bgr.cols, 3);
  cv::Mat rgb = as_mat(image);
  cv::cvtColor(bgr, rgb, cv::COLOR_BGR2RGB);
  return image;
}

at::Tensor read_mask(const std::filesystem::path& path, const NewImage& memory) {
  const cv::Mat grey = decode(path, cv::IMREAD_GRAYSCALE);
  at::Tensor mask = memory ? memory({grey.rows, grey.cols}) : new_image(grey.rows, grey.cols, 1);
  cv::Mat target = as_mat(mask);
  grey.copyTo(target);
  return mask;
}

std::string encode_png(const at::Tensor& image_u8) { return encode(".png", image_u8, {}); }

std::string encode_jpeg(const at::Tensor& image_u8, int quality) {
  return encode(".jpg", image_u8, {cv::IMWRITE_JPEG_QUALITY, quality});
}

void write_png(const std::filesystem::path& path, const at::Tensor& image_u8) {
  core::write_file_atomically(path, encode_png(image_u8), core::Durable::no);
}

at::Tensor resize(const at::Tensor& image_u8, int64_t height, int64_t width, Interpolation interpolation) {
  TORCH_CHECK(height > 0 && width > 0, "resize: size must be positive, is ", height, "x", width);
  const at::Tensor image = image_u8.contiguous();
  if (interpolation == Interpolation::area) return resize_area(image, height, width);
  return resize_with(image, height, width, opencv_code(interpolation));
}

}  // namespace codmoe::data
