#include "codmoe/report/checksum.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace codmoe::report {
namespace {

// FNV-1a by words instead of bytes, and with the upper half folded in, which a product leaves out of the lower.
class Hash {
 public:
  void add(uint64_t word) {
    state_ = (state_ ^ word) * 0x100000001b3;
    state_ ^= state_ >> 32;
  }
  void add(const void* bytes, std::size_t size) {
    const auto* at = static_cast<const char*>(bytes);
    add(size);
    for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), at += sizeof(uint64_t)) add_word(at, sizeof(uint64_t));
    add_word(at, size);
  }
  uint64_t value() const { return state_; }

 private:
  void add_word(const char* bytes, std::size_t size) {
    uint64_t word = 0;
    if (size > 0) std::memcpy(&word, bytes, size);
    add(word);
  }

  uint64_t state_ = 0xcbf29ce484222325;
};

std::string digits(const std::vector<const ImageResult*>& images, uint64_t ImageResult::*hash_of) {
  Hash hash;
  for (const ImageResult* image : images) {
    hash.add(image->item.name.data(), image->item.name.size());
    hash.add(image->*hash_of);
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace

uint64_t hash_image(const at::Tensor& image_hw) {
  const at::Tensor image = image_hw.contiguous();
  Hash hash;
  hash.add(static_cast<uint64_t>(image.size(0)));
  hash.add(image.const_data_ptr<uint8_t>(), static_cast<std::size_t>(image.numel()));
  return hash.value();
}

Checksums checksums(const DatasetResult& dataset) {
  std::vector<const ImageResult*> images;
  for (const ImageResult& image : dataset.images()) images.push_back(&image);
  std::ranges::stable_sort(images, {}, [](const ImageResult* image) { return image->item.name; });
  return {digits(images, &ImageResult::mask_hash), digits(images, &ImageResult::pred_hash)};
}

}  // namespace codmoe::report
