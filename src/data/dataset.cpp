#include "codmoe/data/dataset.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>
#include <sstream>
#include <string_view>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/pack.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

using FilesByName = std::map<std::string, fs::path>;

fs::path find_folder(const fs::path& dir, const std::array<const char*, 3>& names) {
  for (const char* name : names) {
    if (fs::is_directory(dir / name)) return dir / name;
  }
  throw core::Error(fmt::format("{}: has no folder {}", dir.string(), fmt::join(names, ", ")));
}

FilesByName files_by_name(const fs::path& folder) {
  FilesByName files;
  for (const fs::path& path : list_images(folder)) {
    const auto [at, is_new] = files.emplace(path.stem().string(), path);
    if (!is_new) throw core::Error(fmt::format("{} and {}: one name twice", at->second.string(), path.string()));
  }
  return files;
}

void require_partners(const FilesByName& files, const FilesByName& partners, const fs::path& partner_folder) {
  std::vector<std::string> alone;
  for (const auto& [name, path] : files) {
    if (!partners.contains(name)) alone.push_back(path.string());
  }
  if (alone.empty()) return;
  throw core::Error(fmt::format("{}: has no partner in {}{}", alone.front(), partner_folder.string(),
                                alone.size() > 1 ? fmt::format(" (and {} more)", alone.size() - 1) : ""));
}

/// The names of a list, each once.
std::vector<std::string> names_of_list(const fs::path& list) {
  std::vector<std::string> names = read_list(list);
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) throw core::Error(fmt::format("{}: has '{}' twice", list.string(), name));
  }
  if (names.empty()) throw core::Error(fmt::format("{}: the list is empty", list.string()));
  return names;
}

const fs::path& partner(const FilesByName& files, const std::string& name, const fs::path& folder,
                        const fs::path& list) {
  const auto found = files.find(name);
  if (found != files.end()) return found->second;
  throw core::Error(fmt::format("{}: no file for '{}' of {}", folder.string(), name, list.string()));
}

/// Where the samples of a list stand in a pack; all of it without one.
std::vector<int64_t> chosen_of(const Pack& pack, const DatasetOptions& options) {
  std::vector<int64_t> chosen(pack.names().size());
  std::iota(chosen.begin(), chosen.end(), 0);
  if (options.list.empty()) return chosen;
  std::map<std::string, int64_t> places;
  for (const auto index : chosen) places[pack.names()[static_cast<std::size_t>(index)]] = index;
  chosen.clear();
  for (const std::string& name : names_of_list(options.list)) {
    const auto found = places.find(name);
    if (found == places.end()) {
      throw core::Error(fmt::format("{}: has no '{}' of {}", options.dir.string(), name, options.list.string()));
    }
    chosen.push_back(found->second);
  }
  return chosen;
}

std::vector<Item> packed_items(const DatasetOptions& options) {
  const auto pack = Pack::open(options.dir);
  std::vector<Item> items;
  for (const auto index : chosen_of(*pack, options)) {
    const auto& name = pack->names()[static_cast<std::size_t>(index)];
    items.push_back({name, options.dir / "Imgs" / name, options.dir / "GT" / name, pack, index});
  }
  return items;
}

}  // namespace

std::vector<std::string> read_list(const fs::path& list) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string text = core::read_file(list);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  std::istringstream lines(text);
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    const auto last = line.find_last_not_of(" \t\r");
    if (last == std::string::npos) continue;
    line.resize(last + 1);
    names.push_back(is_image_name(line) ? fs::path(line).stem().string() : line);
  }
  return names;
}

std::vector<fs::path> list_images(const fs::path& dir) {
  std::error_code failure;
  std::vector<fs::path> paths;
  for (fs::directory_iterator entry(dir, failure), end; !failure && entry != end; entry.increment(failure)) {
    const fs::path& path = entry->path();
    std::error_code unknown;  // of a link that leads nowhere: reading it will say so
    if (is_image_name(path) && path.filename().string().front() != '.' && !entry->is_directory(unknown))
      paths.push_back(path);
  }
  if (failure) throw core::Error(fmt::format("{}: cannot be listed: {}", dir.string(), failure.message()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

DatasetFolders find_folders(const fs::path& dir) {
  if (dir.empty()) throw core::Error("no dataset folder is given");
  if (!fs::is_directory(dir)) throw core::Error(fmt::format("{}: no such folder", dir.string()));
  return {find_folder(dir, {"Imgs", "Image", "Images"}), find_folder(dir, {"GT", "Mask", "Masks"})};
}

Dataset::Dataset(const DatasetOptions& options) : dir_(options.dir) {
  if (fs::is_regular_file(dir_)) {
    items_ = packed_items(options);
    return;
  }
  const DatasetFolders folders = find_folders(dir_);
  const FilesByName images = files_by_name(folders.images);
  const FilesByName masks = files_by_name(folders.masks);
  if (!options.list.empty()) {
    for (const std::string& name : names_of_list(options.list)) {
      items_.push_back({name, partner(images, name, folders.images, options.list),
                        partner(masks, name, folders.masks, options.list)});
    }
    return;
  }
  require_partners(images, masks, folders.masks);
  require_partners(masks, images, folders.images);
  for (const auto& [name, path] : images) items_.push_back({name, path, masks.at(name)});
  if (items_.empty()) throw core::Error(fmt::format("{}: has no images", folders.images.string()));
}

int64_t Dataset::reduced_for() const { return items_.front().pack ? items_.front().pack->reduced_for() : 0; }

void Dataset::require_size(int64_t size) const {
  if (reduced_for() == 0 || (size > 0 && size <= reduced_for())) return;
  throw core::Error(
      fmt::format("{}: its samples were reduced for batches of {} pixels, and {} are needed; pack the set {}",
                  dir_.string(), reduced_for(), size > 0 ? fmt::format("samples for {}", size) : "all pixels",
                  size > 0 ? fmt::format("with --size {}, or without", size) : "without --size"));
}

std::string Dataset::fingerprint() const {
  std::vector<std::string> names;
  for (const Item& item : items_) names.push_back(item.name);
  return fingerprint_of(names);
}

std::string fingerprint_of(const std::vector<std::string>& names) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::string& name : names) {
    for (const char c : name + "\n") hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  return fmt::format("{}-{:016x}", names.size(), hash);
}

at::Tensor read_image(const Item& item, const NewImage& memory) {
  return item.pack ? item.pack->sample(item.packed_index).image : read_image(item.image, memory);
}

at::Tensor read_mask(const Item& item, const NewImage& memory) {
  return item.pack ? item.pack->sample(item.packed_index).mask : read_mask(item.mask, memory);
}

}  // namespace codmoe::data
