// Image files as OpenCV matrices.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>

namespace codmoe::data {

/// `flags` are those of cv::imdecode. Never empty.
/// @throws core::Error naming the file where it is missing, truncated or no image.
cv::Mat decode(const std::filesystem::path& path, int flags);

}  // namespace codmoe::data
