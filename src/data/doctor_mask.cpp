#include "doctor_mask.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "codmoe/data/image_file.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

// Soft outlines and JPEG noise stay below this part of a mask; above it, the score hangs on the threshold.
constexpr double kMostGrey = 0.02;
constexpr int kDark = 32, kLight = 223;  // between them a value is neither background nor object

/// How many pixels of a mask have each value.
struct MaskValues {
  std::array<int64_t, 256> histogram{};
  int64_t pixels = 0;

  explicit MaskValues(const at::Tensor& mask) : pixels(mask.numel()) {
    const auto* values = mask.const_data_ptr<uint8_t>();
    for (int64_t i = 0; i < pixels; ++i) ++histogram[values[i]];
  }
  /// Part of the pixels with a value in low ... high.
  double part(int low, int high) const {
    int64_t count = 0;
    for (int value = low; value <= high; ++value) count += histogram[static_cast<std::size_t>(value)];
    return static_cast<double>(count) / static_cast<double>(pixels);
  }
};

/// Part of the pixels whose channels differ by more than JPEG's noise.
double coloured_part(const at::Tensor& rgb) {
  constexpr int kNoise = 24;
  const auto* bytes = rgb.const_data_ptr<uint8_t>();
  const int64_t pixels = rgb.numel() / 3;
  int64_t coloured = 0;
  for (int64_t i = 0; i < pixels; ++i, bytes += 3) {
    const auto [low, high] = std::minmax({bytes[0], bytes[1], bytes[2]});
    if (high - low > kNoise) ++coloured;
  }
  return static_cast<double>(coloured) / static_cast<double>(pixels);
}

/// All of the frame is the object's and the background lies inside: no object looks like that.
bool is_inverted(const at::Tensor& mask, const MaskValues& values) {
  if (values.part(128, 255) <= 0.5) return false;
  const auto light = [](const at::Tensor& line) { return (line > 127).all().item<bool>(); };
  return light(mask[0]) && light(mask[-1]) && light(mask.select(1, 0)) && light(mask.select(1, -1));
}

template <class Add>
void examine_kind(const ExaminedFile& mask, const fs::path& path, const Add& add) {
  if (mask.facts.format == FileFormat::jpeg) add(Fault::lossy_mask, false, "JPEG blurs the outline");
  if (mask.facts.palette) add(Fault::palette_mask, false, "its colours are read as brightness");
  const bool may_have_colours = mask.facts.palette || mask.facts.channels == 0 || mask.facts.channels >= 3;
  if (!may_have_colours) return;
  const double coloured = coloured_part(read_image(path));
  if (coloured > 0.001) {
    add(Fault::coloured_mask, true,
        fmt::format("{:.2f} % of its pixels have a colour, whose brightness decides what counts", 100 * coloured));
  } else if (mask.facts.channels >= 3) {
    add(Fault::rgb_mask, false, fmt::format("{} channels that say the same", mask.facts.channels));
  }
}

template <class Add>
void examine_values(const at::Tensor& mask, const Add& add) {
  const MaskValues values(mask);
  if (values.part(0, 0) == 1) return add(Fault::empty_mask, true, "no pixel is an object's");
  if (values.part(128, 255) == 1) return add(Fault::full_mask, true, "every pixel is an object's");
  if (values.part(128, 255) == 0) return add(Fault::dark_mask, true, "no pixel is above 127, but some are above 0");
  if (is_inverted(mask, values)) add(Fault::inverted_mask, true, "the whole frame is marked, and a part within is not");
  const double grey = values.part(1, 254), middle = values.part(kDark, kLight);
  if (grey == 0) return;
  add(Fault::grey_mask, middle > kMostGrey,
      fmt::format("{:.2f} % of its pixels are neither 0 nor 255, {:.2f} % are between {} and {}", 100 * grey,
                  100 * middle, kDark, kLight));
}

}  // namespace

void examine_mask(const ExaminedFile& mask, const fs::path& path, const fs::path& image,
                  std::vector<Finding>& findings) {
  const auto add = [&](Fault fault, bool falsifies, std::string detail) {
    findings.push_back({fault, falsifies, path, std::move(detail), image});
  };
  examine_kind(mask, path, add);
  examine_values(mask.pixels, add);
}

}  // namespace codmoe::data
