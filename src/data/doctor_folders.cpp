#include "doctor_folders.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

using FilesByStem = std::map<std::string, fs::path>;
using Findings = std::vector<Finding>;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

bool is_broken_link(const fs::path& path) {
  std::error_code failure;
  return fs::is_symlink(path, failure) && !fs::exists(path, failure);
}

void find_foreign_files(const fs::path& folder, Findings& findings) {
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end; entry.increment(failure)) {
    const fs::path& path = entry->path();
    if (path.filename().string().front() == '.') continue;
    std::error_code unknown;
    if (entry->is_directory(unknown)) {
      findings.push_back({Fault::foreign_file, false, path, "is a folder: what is in it is not read"});
    } else if (!is_image_name(path)) {
      findings.push_back({Fault::foreign_file, false, path, "is not named like an image: it is not read"});
    }
  }
}

FilesByStem files_by_stem(const fs::path& folder, Findings& findings) {
  FilesByStem files;
  std::map<std::string, fs::path> lowered;
  for (const fs::path& path : list_images(folder)) {
    if (is_broken_link(path)) {
      findings.push_back({Fault::broken_link, true, path, "links to " + fs::read_symlink(path).string()});
    }
    const std::string stem = path.stem().string();
    const auto [at, is_new] = files.emplace(stem, path);
    if (!is_new) {
      findings.push_back({Fault::duplicate_name, true, path, "has the name of " + at->second.string(), at->second});
      continue;
    }
    const auto [like, is_alone] = lowered.emplace(lower_case(stem), path);
    if (is_alone) continue;
    findings.push_back({Fault::case_clash, false, path,
                        fmt::format("differs from {} in case only: one of them is lost where case does not count",
                                    like->second.filename().string()),
                        like->second});
  }
  return files;
}

void find_unpaired(const FilesByStem& files, const FilesByStem& partners, const fs::path& partner_folder,
                   Findings& findings) {
  for (const auto& [name, path] : files) {
    if (partners.contains(name)) continue;
    findings.push_back({Fault::unpaired, true, path, "has no partner in " + partner_folder.string()});
  }
}

}  // namespace

std::vector<Item> find_pairs(const DatasetFolders& folders, Findings& findings) {
  find_foreign_files(folders.images, findings);
  find_foreign_files(folders.masks, findings);
  const FilesByStem images = files_by_stem(folders.images, findings);
  const FilesByStem masks = files_by_stem(folders.masks, findings);
  if (images.empty() && masks.empty()) throw core::Error(fmt::format("{}: has no images", folders.images.string()));
  find_unpaired(images, masks, folders.masks, findings);
  find_unpaired(masks, images, folders.images, findings);
  std::vector<Item> items;
  for (const auto& [name, path] : images) {
    const auto mask = masks.find(name);
    if (mask == masks.end() || is_broken_link(path) || is_broken_link(mask->second)) continue;
    items.push_back({name, path, mask->second});
  }
  return items;
}

}  // namespace codmoe::data
