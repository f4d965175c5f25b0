// A dataset's decoded samples in one file, so that no run decodes them again.
//
// The file is safetensors: "images.NAME" uint8 [H, W, 3] RGB and "masks.NAME" uint8 [H, W] of each sample, and in the
// metadata "format" ("codmoe.pack.1"), "names" (in the set's order, a line each), "checksums" (16 hexadecimal digits a
// line), "fingerprint" (of the set) and "reduced_for" (the batches' side that samples were reduced for; 0: none was).
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"

namespace codmoe::data {

class Pack {
 public:
  /// Maps the file; pixels are read when they are asked for. @throws core::Error where it is damaged or no pack.
  static std::shared_ptr<const Pack> open(const std::filesystem::path& file);

  const std::vector<std::string>& names() const { return names_; }
  int64_t reduced_for() const { return reduced_for_; }
  /// What all pixels take.
  int64_t bytes() const;

  /// Views of the file; compared with their checksum the first time. Safe to be called by several threads.
  /// @throws core::Error naming the sample where it is damaged.
  const Sample& sample(int64_t index) const;

 private:
  Pack() = default;

  std::filesystem::path file_;
  std::vector<std::string> names_;
  std::vector<Sample> samples_;
  std::vector<uint64_t> checksums_;
  int64_t reduced_for_ = 0;
  std::unique_ptr<std::atomic<bool>[]> are_whole_;  // what was compared already
};

/// Whether the file says that it is a pack; false for a folder.
bool is_pack(const std::filesystem::path& file);

/// Writes the samples of `dataset`, reduced for batches of `size` pixels (see reduce(); 0: as they are). All of them
/// are in memory once. The same set gives the same bytes.
/// @throws core::Error naming a file that can't be read, or where memory or disk don't suffice.
void write_pack(std::shared_ptr<const Dataset> dataset, int64_t size, const std::filesystem::path& file);

}  // namespace codmoe::data
