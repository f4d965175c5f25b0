// Image files as tensors. All tensors here are contiguous uint8 on the CPU; every error names the file.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>

namespace codmoe::data {

/// How `resize` weighs pixels.
enum class Interpolation {
  nearest,
  bilinear,  ///< two nearest pixels an axis; aliases when shrinking by more than about 1.5
  area,      ///< mean over the covered pixels along an axis that shrinks, bilinear along one that grows
};

/// Whether the name ends like a format that codmoe reads (jpg, jpeg, png, bmp, webp, tif, tiff; any case).
bool is_image_name(const std::filesystem::path& path);

/// Memory for an image of this shape, as at::empty(shape, at::kByte) gives it.
using NewImage = std::function<at::Tensor(at::IntArrayRef shape)>;

/// Decodes a photograph, turned upright by its EXIF orientation; grey, palette, 16-bit and alpha become 8-bit RGB.
/// @param memory  where the result is to lie; by default in memory of its own
/// @return [H, W, 3], RGB.
/// @throws core::Error where the file is missing, truncated or no image.
at::Tensor read_image(const std::filesystem::path& path, const NewImage& memory = {});

/// Decodes a mask; RGB and palette files become their luma, values stay what they are (0 ... 255).
/// @return [H, W].
/// @throws core::Error as read_image.
at::Tensor read_mask(const std::filesystem::path& path, const NewImage& memory = {});

/// The bytes of a PNG file of [H, W] (grey) or [H, W, 3] (RGB) uint8. @throws c10::Error for another shape or dtype.
std::string encode_png(const at::Tensor& image_u8);

/// The bytes of a JPEG file, likewise. @param quality 1 to 100
std::string encode_jpeg(const at::Tensor& image_u8, int quality);

/// Writes [H, W] (grey) or [H, W, 3] (RGB) uint8 as PNG, by rename, so that a reader never sees half a file; not
/// synced to disk.
/// @throws core::Error where the file cannot be written, c10::Error for another shape or dtype.
void write_png(const std::filesystem::path& path, const at::Tensor& image_u8);

/// Resamples [H, W] or [H, W, 3] uint8 to height x width pixels; channels stay.
/// @throws c10::Error for another shape or dtype, or a size below 1.
at::Tensor resize(const at::Tensor& image_u8, int64_t height, int64_t width, Interpolation interpolation);

}  // namespace codmoe::data
