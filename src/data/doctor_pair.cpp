#include "doctor_pair.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/data/image_file.h"
#include "doctor_file.h"
#include "doctor_mask.h"

namespace codmoe::data {
namespace {

constexpr int64_t kTiny = 32;         // pixels: less than one position of the deepest features
constexpr double kLongestAspect = 4;  // a square input squeezes it to a quarter

void examine_photograph(const ExaminedFile& photograph, const Item& item, std::vector<Finding>& findings) {
  const auto note = [&](Fault fault, std::string detail) {
    findings.push_back({fault, false, item.image, std::move(detail), item.mask});
  };
  const at::Tensor& pixels = photograph.pixels;
  const int64_t height = pixels.size(0), width = pixels.size(1);
  if (std::min(height, width) < kTiny) note(Fault::tiny_image, fmt::format("{}x{} pixels", width, height));
  if (static_cast<double>(std::max(height, width)) > kLongestAspect * static_cast<double>(std::min(height, width))) {
    note(Fault::extreme_aspect, fmt::format("{}x{} pixels", width, height));
  }
  if (photograph.facts.channels == 4 && photograph.facts.format == FileFormat::jpeg) {
    note(Fault::cmyk_photograph, "CMYK: its colours depend on who decodes it");
  }
  if ((pixels == pixels[0][0]).all().item<bool>()) return note(Fault::blank_photograph, "every pixel is the same");
  if (at::equal(pixels.select(2, 0), pixels.select(2, 1)) && at::equal(pixels.select(2, 1), pixels.select(2, 2))) {
    note(Fault::grey_photograph, "has no colour");
  }
}

void compare_sizes(const ExaminedFile& photograph, const ExaminedFile& mask, const Item& item,
                   std::vector<Finding>& findings) {
  const int64_t height = photograph.pixels.size(0), width = photograph.pixels.size(1);
  const int64_t mask_height = mask.pixels.size(0), mask_width = mask.pixels.size(1);
  if (mask_height == height && mask_width == width) return;
  const bool turned = photograph.facts.orientation >= 5 && mask_height == width && mask_width == height;
  if (turned) {  // instead of the note that examine_file made
    std::erase_if(findings, [&](const Finding& finding) {
      return finding.fault == Fault::exif_rotation && finding.file == item.image;
    });
    findings.push_back({Fault::exif_rotation, true, item.image,
                        fmt::format("EXIF orientation {}: its mask fits the photograph as stored, not as shown",
                                    photograph.facts.orientation),
                        item.mask});
    return;
  }
  findings.push_back(
      {Fault::size_mismatch, true, item.mask,
       fmt::format("is {}x{}, its image {} is {}x{}", mask_width, mask_height, item.image.string(), width, height),
       item.image});
}

/// Coverage, centre of mass, border and location of the object.
void measure(const at::Tensor& mask, ExaminedPair& pair) {
  const int64_t height = mask.size(0), width = mask.size(1);
  LocationMap cells{};
  double count = 0, x_sum = 0, y_sum = 0;
  const auto* value = mask.const_data_ptr<uint8_t>();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x, ++value) {
      const auto cell =
          static_cast<std::size_t>(y * kLocationCells / height * kLocationCells + x * kLocationCells / width);
      cells[cell] += 1;
      if (*value < 128) continue;
      pair.location[cell] += 1;
      count += 1;
      x_sum += static_cast<double>(x) + 0.5;
      y_sum += static_cast<double>(y) + 0.5;
      if (y == 0 || x == 0 || y == height - 1 || x == width - 1) pair.facts.touches_border = true;
    }
  }
  for (std::size_t i = 0; i < cells.size(); ++i) pair.location[i] /= std::max(cells[i], 1.0);
  pair.facts.coverage = count / static_cast<double>(height * width);
  if (count == 0) return;
  pair.facts.centre_x = x_sum / count / static_cast<double>(width);
  pair.facts.centre_y = y_sum / count / static_cast<double>(height);
}

}  // namespace

std::optional<ExaminedPair> examine_pair(const Item& item, std::vector<Finding>& findings) {
  const auto read_photograph = [](const std::filesystem::path& path) { return read_image(path); };
  const auto read_its_mask = [](const std::filesystem::path& path) { return read_mask(path); };
  const auto photograph = examine_file(item.image, item.mask, read_photograph, findings);
  const auto mask = examine_file(item.mask, item.image, read_its_mask, findings);
  if (photograph) examine_photograph(*photograph, item, findings);
  if (mask) examine_mask(*mask, item.mask, item.image, findings);
  if (!photograph || !mask) return std::nullopt;
  compare_sizes(*photograph, *mask, item, findings);
  ExaminedPair pair{.facts = {.name = item.name,
                              .image = item.image,
                              .mask = item.mask,
                              .width = photograph->pixels.size(1),
                              .height = photograph->pixels.size(0),
                              .signature = signature_of(photograph->pixels),
                              .mask_hash = content_hash(mask->pixels)}};
  measure(mask->pixels, pair);
  return pair;
}

}  // namespace codmoe::data
