#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace codmoe::architecture {

/// Module -> the modules it may include, itself and everything below it counted in.
using Layers = std::map<std::string, std::set<std::string>>;

/// Adds to each module's direct dependencies what those may include, and the module itself.
Layers closure(const Layers& direct);

/// Every forbidden `#include` below `root`/include/codmoe, `root`/src and `root`/apps, one line each: file:line:
/// reason. Forbidden are: another module that is not below (`layers`), a path through "..", OpenCV outside data,
/// yaml-cpp outside config, LibTorch in CUDA files, <torch/torch.h> in public headers.
std::vector<std::string> include_violations(const std::filesystem::path& root, const Layers& layers);

/// The lines `codmoe_module(NAME … DEPS …)` of a CMakeLists.txt as direct dependencies.
Layers read_cmake_modules(const std::filesystem::path& cmake_lists);

/// Files below `root`'s folders of code that have more than `limit` lines, one line each: file: count.
std::vector<std::string> long_files(const std::filesystem::path& root, int limit);

}  // namespace codmoe::architecture
