// A folder of photographs with masks.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/image_file.h"

namespace codmoe::data {

class Pack;

/// One photograph and its mask; `name` is their common file name without extension.
struct Item {
  std::string name;
  std::filesystem::path image;  ///< of a packed set: what messages call it
  std::filesystem::path mask;
  std::shared_ptr<const Pack> pack = nullptr;  ///< holds the pixels of a packed set
  int64_t packed_index = 0;
};

/// The photograph, uint8 [H, W, 3] RGB, and the mask, uint8 [H, W]. @throws core::Error as those of image_file.h, and
///   naming a damaged sample of a pack, whose pixels stay where they are.
at::Tensor read_image(const Item& item, const NewImage& memory = {});
at::Tensor read_mask(const Item& item, const NewImage& memory = {});

/// Where a dataset is, and what of it counts.
struct DatasetOptions {
  std::filesystem::path dir;   ///< folder with Imgs (or Image, Images) and GT (or Mask, Masks), or a packed set
  std::filesystem::path list;  ///< text file, one name a line, with or without extension; empty: everything in `dir`

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("dir", dir);
    visit("list", list);
  }
};

/// Image files directly in `dir`, sorted by name; hidden files are left out.
/// @throws core::Error where `dir` cannot be read.
std::vector<std::filesystem::path> list_images(const std::filesystem::path& dir);

/// The lines of a list of names, without the extension of an image. Blank lines, the carriage returns and the byte
/// order mark of Windows do not count.
/// @throws core::Error where `list` cannot be read.
std::vector<std::string> read_list(const std::filesystem::path& list);

/// The two folders of a dataset.
struct DatasetFolders {
  std::filesystem::path images;
  std::filesystem::path masks;
};

/// @throws core::Error where one of them is missing, naming what is looked for.
DatasetFolders find_folders(const std::filesystem::path& dir);

/// The pairs of one folder, in the order of the list, or sorted by name without one, and their files are not opened; or
/// the samples of a packed set (pack.h) in its own order or the list's.
class Dataset {
 public:
  /// @throws core::Error naming the folder, the file without a partner, the name that a list has twice or that has no
  ///   image, or two images of one name. Nothing is left out silently.
  explicit Dataset(const DatasetOptions& options);

  int64_t size() const { return static_cast<int64_t>(items_.size()); }
  /// @throws std::out_of_range.
  const Item& item(int64_t index) const { return items_.at(static_cast<std::size_t>(index)); }
  const std::vector<Item>& items() const { return items_; }
  const std::filesystem::path& dir() const { return dir_; }
  /// The side of the batches that a packed set was reduced for; 0 for a folder, or where nothing was reduced.
  int64_t reduced_for() const;
  /// Does nothing for a folder, or where nothing of a packed set was reduced. @param size  of the batches that the
  /// samples
  ///   are for; 0: their full size. @throws core::Error where they were reduced for smaller ones.
  void require_size(int64_t size) const;
  /// Tells this set from others, see fingerprint_of().
  std::string fingerprint() const;

 private:
  std::filesystem::path dir_;
  std::vector<Item> items_;
};

/// "N-HASH" of a set with these names: their number, and the 64-bit FNV-1a hash (16 hexadecimal digits) of the names in
/// order, each with a line feed behind it. The files' content does not enter.
std::string fingerprint_of(const std::vector<std::string>& names);

}  // namespace codmoe::data
