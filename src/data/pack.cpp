#include "codmoe/data/pack.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <utility>

#include "codmoe/core/device.h"
#include "codmoe/core/hash.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/data/samples.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

using Metadata = std::map<std::string, std::string>;

constexpr const char* pack_format = "codmoe.pack.1";

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
  throw core::Error(fmt::format("{}: damaged, or no packed set of codmoe-data pack: {}", file.string(), why));
}

const std::string& entry_of(const fs::path& file, const Metadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) refuse(file, fmt::format("its metadata have no \"{}\"", key));
  return found->second;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(std::move(line));
  return lines;
}

template <class T>
T number_of(const fs::path& file, const std::string& text, int base) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) refuse(file, fmt::format("'{}' is no number", text));
  return value;
}

uint64_t checksum_of(const Sample& sample) {
  core::Hash hash;
  for (const auto* pixels : {&sample.image, &sample.mask}) {
    hash.add(static_cast<uint64_t>(pixels->size(0)));
    hash.add(pixels->const_data_ptr<uint8_t>(), static_cast<std::size_t>(pixels->numel()));
  }
  return hash.value();
}

Sample sample_of(const fs::path& file, const core::TensorMap& tensors, const std::string& name) {
  const auto image = tensors.find("images." + name), mask = tensors.find("masks." + name);
  if (image == tensors.end() || mask == tensors.end()) refuse(file, fmt::format("'{}' is missing", name));
  const auto height = mask->second.dim() == 2 ? mask->second.size(0) : 0;
  const auto width = mask->second.dim() == 2 ? mask->second.size(1) : 0;
  const bool fits = image->second.scalar_type() == at::kByte && mask->second.scalar_type() == at::kByte &&
                    image->second.sizes() == at::IntArrayRef({height, width, 3}) && height > 0 && width > 0;
  if (!fits) refuse(file, fmt::format("'{}' is not uint8 [H, W, 3] and [H, W]", name));
  return {image->second, mask->second};
}

}  // namespace

std::shared_ptr<const Pack> Pack::open(const fs::path& file) {
  const auto mapped = core::map_safetensors(file);
  const auto entry = [&](const char* key) -> const std::string& { return entry_of(file, mapped.metadata, key); };
  if (entry("format") != pack_format) refuse(file, fmt::format("its format is not {}", pack_format));
  const std::shared_ptr<Pack> pack(new Pack);
  pack->file_ = file;
  pack->names_ = lines_of(entry("names"));
  pack->reduced_for_ = number_of<int64_t>(file, entry("reduced_for"), 10);
  for (const auto& line : lines_of(entry("checksums"))) pack->checksums_.push_back(number_of<uint64_t>(file, line, 16));
  const auto count = pack->names_.size();
  if (fingerprint_of(pack->names_) != entry("fingerprint")) refuse(file, "its names don't fit its fingerprint");
  if (count == 0 || mapped.tensors.size() != 2 * count || pack->checksums_.size() != count) {
    refuse(file, fmt::format("{} names, {} checksums and {} tensors don't fit", count, pack->checksums_.size(),
                             mapped.tensors.size()));
  }
  for (const auto& name : pack->names_) pack->samples_.push_back(sample_of(file, mapped.tensors, name));
  pack->are_whole_ = std::make_unique<std::atomic<bool>[]>(count);
  return pack;
}

int64_t Pack::bytes() const {
  int64_t bytes = 0;
  for (const auto& sample : samples_) bytes += sample.image.numel() + sample.mask.numel();
  return bytes;
}

const Sample& Pack::sample(int64_t index) const {
  const auto i = static_cast<std::size_t>(index);
  const auto& sample = samples_.at(i);
  if (are_whole_[i]) return sample;
  if (checksum_of(sample) != checksums_[i]) {
    throw core::Error(fmt::format("{}: '{}' doesn't fit its checksum: the file is damaged, pack the set again",
                                  file_.string(), names_[i]));
  }
  are_whole_[i] = true;
  return sample;
}

bool is_pack(const fs::path& file) {
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown)) return false;
  try {
    const auto metadata = core::map_safetensors(file).metadata;
    const auto found = metadata.find("format");
    return found != metadata.end() && found->second.starts_with("codmoe.pack.");
  } catch (const core::Error&) {  // opening it says why
    return false;
  }
}

void write_pack(std::shared_ptr<const Dataset> dataset, int64_t size, const fs::path& file) {
  Samples samples(dataset, size);
  const auto budget = core::free_memory(c10::kCPU);
  if (!samples.keep(budget, /*threads=*/0)) {
    throw core::Error(fmt::format("{}: decoded, the set takes more than the {:.0f} MiB of memory that are free",
                                  dataset->dir().string(), static_cast<double>(budget) / (1 << 20)));
  }
  core::TensorMap tensors;
  std::vector<std::string> names, checksums;
  for (int64_t i = 0; i < samples.size(); ++i) {
    const auto sample = samples.read(i).value();
    names.push_back(dataset->item(i).name);
    if (names.back().find('\n') != std::string::npos) {
      throw core::Error(fmt::format("{}: a name with a line break can't be packed", dataset->item(i).image.string()));
    }
    checksums.push_back(fmt::format("{:016x}", checksum_of(sample)));
    tensors["images." + names.back()] = sample.image;
    tensors["masks." + names.back()] = sample.mask;
  }
  core::save_safetensors(file, tensors,
                         {{"format", pack_format},
                          {"names", fmt::format("{}\n", fmt::join(names, "\n"))},
                          {"checksums", fmt::format("{}\n", fmt::join(checksums, "\n"))},
                          {"fingerprint", dataset->fingerprint()},
                          {"reduced_for", std::to_string(samples.any_reduced() ? size : dataset->reduced_for())}});
}

}  // namespace codmoe::data
