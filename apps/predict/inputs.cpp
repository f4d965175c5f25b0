#include "predict/inputs.h"

#include <fmt/format.h>
#include <glob.h>

#include "codmoe/core/error.h"
#include "codmoe/data/dataset.h"

namespace codmoe::apps {

namespace {

namespace fs = std::filesystem;

std::vector<fs::path> matches(const std::string& pattern) {
  glob_t found{};
  std::vector<fs::path> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0) paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  return paths;
}

/// A name that exists is no pattern, whatever letters it has.
std::vector<fs::path> paths_of(const std::string& input) {
  if (fs::exists(input)) return {input};
  const bool is_pattern = input.find_first_of("*?[") != std::string::npos;
  auto paths = is_pattern ? matches(input) : std::vector<fs::path>();
  if (paths.empty()) {
    throw core::UsageError(fmt::format("{}: {}", input, is_pattern ? "matches no file" : "no such file or folder"));
  }
  return paths;
}

}  // namespace

std::vector<fs::path> input_files(const std::vector<std::string>& inputs) {
  std::vector<fs::path> files;
  for (const auto& input : inputs) {
    for (const auto& path : paths_of(input)) {
      const auto listed = fs::is_directory(path) ? data::list_images(path) : std::vector{path};
      files.insert(files.end(), listed.begin(), listed.end());
    }
  }
  if (files.empty()) throw core::UsageError("INPUT: there is no image in it");
  return files;
}

}  // namespace codmoe::apps
