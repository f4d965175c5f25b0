#include "decode.h"

#include <fmt/format.h>

#include <opencv2/imgcodecs.hpp>
#include <string>
#include <utility>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "whole_file.h"

namespace codmoe::data {

cv::Mat decode(const std::filesystem::path& path, int flags) {
  cv::Mat image;
  const std::string bytes = core::read_file(path);
  if (bytes.empty()) throw core::Error(fmt::format("{}: the file is empty", path.string()));
  if (!is_whole(bytes)) throw core::Error(fmt::format("{}: the file is truncated", path.string()));
  if (!std::in_range<int>(bytes.size())) throw core::Error(fmt::format("{}: over 2 GiB", path.string()));
  const cv::Mat view(1, static_cast<int>(bytes.size()), CV_8UC1, const_cast<char*>(bytes.data()));
  try {
    image = cv::imdecode(view, flags);
  } catch (const cv::Exception& failure) {
    throw core::Error(fmt::format("{}: cannot be decoded: {}", path.string(), failure.err));
  }
  if (image.empty()) throw core::Error(fmt::format("{}: damaged, or no image that OpenCV reads", path.string()));
  return image;
}

}  // namespace codmoe::data
