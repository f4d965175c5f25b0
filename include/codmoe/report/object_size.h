// Images by the size of their object.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// By the mask's share of the image, with the thresholds of COD10K's attributes "small object" and "big object" (Fan et
/// al., Camouflaged Object Detection, CVPR 2020), so that groups of different datasets compare.
enum class ObjectSize { none, small, medium, big };

inline constexpr double small_object = 0.1;  ///< at most this share: small
inline constexpr double big_object = 0.5;    ///< at least this share: big
inline constexpr std::array object_sizes{ObjectSize::none, ObjectSize::small, ObjectSize::medium, ObjectSize::big};

ObjectSize object_size(const ImageResult& image);
/// @param share  the mask's part of the image, in [0, 1]
ObjectSize object_size_of(double share);

/// "no object", "small", "medium", "big".
std::string_view name_of(ObjectSize size);

/// The thresholds in words, for a reader.
std::string object_size_convention();

}  // namespace codmoe::report
