// What is kept of a photograph to find its copies.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace codmoe::data {

/// About 4 KiB a photograph. Copies that were encoded or scaled again, or lost up to a tenth of a side, stay findable;
/// mirrored and turned ones do not.
struct PictureSignature {
  static constexpr std::size_t kViews = 15;
  static constexpr int64_t kSide = 64;

  uint64_t pixels = 0;  ///< hash of the size and every pixel
  /// Perceptual hashes (signs of the lowest frequencies of a cosine transform): of the whole picture first, then of
  /// crops of 5 and 10 %.
  std::array<uint64_t, kViews> views{};
  /// The picture shrunk to kSide x kSide without its low frequencies; all 0 where it has no detail.
  std::array<int8_t, kSide * kSide> detail{};
};

/// @param image  uint8 [H, W, 3], RGB
PictureSignature signature_of(const at::Tensor& image);

/// FNV-1a, 64 bits, of a contiguous uint8 tensor's shape and values.
uint64_t content_hash(const at::Tensor& image_u8);

/// Whether one may be a copy of the other by the hashes: quick, with some false alarms.
bool may_be_copies(const PictureSignature& a, const PictureSignature& b);

/// The greatest correlation of their details over the crops of either that a copy may be, at most 1.
double similarity(const PictureSignature& a, const PictureSignature& b);

/// Where `similarity` begins to mean a copy: see the measurement in picture_signature.cpp.
inline constexpr double kCopySimilarity = 0.75;

}  // namespace codmoe::data
