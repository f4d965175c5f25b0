#include "codmoe/data/doctor.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>

#include "codmoe/core/error.h"
#include "codmoe/core/parallel.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

// Soft outlines and JPEG noise stay below this part of a mask; above it, the score hangs on the threshold.
constexpr double kMostGrey = 0.02;
constexpr int kDark = 32, kLight = 223;  // between them a value is neither background nor object

using FilesByName = std::map<std::string, fs::path>;
using Findings = std::vector<Finding>;

FilesByName files_by_name(const fs::path& folder, Findings& findings) {
  FilesByName files;
  for (const fs::path& path : list_images(folder)) {
    const auto [at, is_new] = files.emplace(path.stem().string(), path);
    if (!is_new) findings.push_back({Fault::duplicate_name, true, path, "has the name of " + at->second.string()});
  }
  return files;
}

void find_unpaired(const FilesByName& files, const FilesByName& partners, const fs::path& partner_folder,
                   Findings& findings) {
  for (const auto& [name, path] : files) {
    if (partners.contains(name)) continue;
    findings.push_back({Fault::unpaired, true, path, "has no partner in " + partner_folder.string()});
  }
}

std::vector<Item> pairs_of(const FilesByName& images, const FilesByName& masks) {
  std::vector<Item> items;
  for (const auto& [name, path] : images) {
    if (const auto mask = masks.find(name); mask != masks.end()) items.push_back({name, path, mask->second});
  }
  return items;
}

std::optional<at::Tensor> try_reading(at::Tensor (*read)(const fs::path&), const fs::path& path, Findings& findings) {
  try {
    return read(path);
  } catch (const core::Error& error) {
    findings.push_back({Fault::unreadable, true, path, error.what()});
    return std::nullopt;
  }
}

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

void examine_mask(const MaskValues& values, const fs::path& path, Findings& findings) {
  const auto add = [&](Fault fault, bool falsifies, std::string detail) {
    findings.push_back({fault, falsifies, path, std::move(detail)});
  };
  if (values.part(0, 0) == 1) return add(Fault::empty_mask, true, "no pixel is an object's");
  if (values.part(128, 255) == 1) return add(Fault::full_mask, true, "every pixel is an object's");
  if (values.part(128, 255) == 0) return add(Fault::dark_mask, true, "no pixel is above 127, but some are above 0");
  const double grey = values.part(1, 254), middle = values.part(kDark, kLight);
  if (grey == 0) return;
  add(Fault::grey_mask, middle > kMostGrey,
      fmt::format("{:.2f} % of its pixels are neither 0 nor 255, {:.2f} % are between {} and {}", 100 * grey,
                  100 * middle, kDark, kLight));
}

std::optional<PairFacts> examine_pair(const Item& item, Findings& findings) {
  const auto image = try_reading(read_image, item.image, findings);
  const auto mask = try_reading(read_mask, item.mask, findings);
  const std::optional<MaskValues> values = mask ? std::optional<MaskValues>(*mask) : std::nullopt;
  if (values) examine_mask(*values, item.mask, findings);
  if (!image || !mask) return std::nullopt;
  const int64_t height = image->size(0), width = image->size(1);
  if (mask->size(0) != height || mask->size(1) != width) {
    findings.push_back({Fault::size_mismatch, true, item.mask,
                        fmt::format("is {}x{}, its image {} is {}x{}", mask->size(1), mask->size(0),
                                    item.image.string(), width, height)});
  }
  return PairFacts{item.name, width, height, values->part(128, 255)};
}

}  // namespace

bool Examination::falsifies_scores() const {
  return std::any_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.falsifies; });
}

Examination examine(const fs::path& dir, const DoctorProgress& progress) {
  const DatasetFolders folders = find_folders(dir);
  Examination result;
  const FilesByName images = files_by_name(folders.images, result.findings);
  const FilesByName masks = files_by_name(folders.masks, result.findings);
  if (images.empty() && masks.empty()) throw core::Error(fmt::format("{}: has no images", folders.images.string()));
  find_unpaired(images, masks, folders.masks, result.findings);
  find_unpaired(masks, images, folders.images, result.findings);

  const std::vector<Item> items = pairs_of(images, masks);
  std::vector<std::pair<std::optional<PairFacts>, Findings>> examined(items.size());
  const auto body = [&](int64_t i) {
    auto& [facts, findings] = examined[static_cast<std::size_t>(i)];
    facts = examine_pair(items[static_cast<std::size_t>(i)], findings);
  };
  core::parallel_for(std::ssize(items), /*threads=*/0, body, [&](int64_t done) {
    if (progress) progress(done, std::ssize(items));
  });
  for (auto& [facts, findings] : examined) {
    if (facts) result.pairs.push_back(*facts);
    result.findings.insert(result.findings.end(), findings.begin(), findings.end());
  }
  std::sort(result.findings.begin(), result.findings.end(),
            [](const Finding& a, const Finding& b) { return std::tie(a.file, a.fault) < std::tie(b.file, b.fault); });
  return result;
}

}  // namespace codmoe::data
