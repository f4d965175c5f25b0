// A folder of photographs with masks.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::data {

/// One photograph and its mask; `name` is their common file name without extension.
struct Item {
  std::string name;
  std::filesystem::path image;
  std::filesystem::path mask;
};

/// Where a dataset is, and what of it counts.
struct DatasetOptions {
  std::filesystem::path dir;   ///< folder with Imgs (or Image, Images) and GT (or Mask, Masks)
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

/// The pairs of one folder, in the order of the list, or sorted by name without one. Files are not opened.
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
  /// Tells this set from others: "N-HASH", the number of its items and the 64-bit FNV-1a hash (16 hexadecimal digits)
  /// of their names in order, each with a line feed behind it. The files' content does not enter.
  std::string fingerprint() const;

 private:
  std::filesystem::path dir_;
  std::vector<Item> items_;
};

}  // namespace codmoe::data
