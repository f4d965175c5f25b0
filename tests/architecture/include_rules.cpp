#include "architecture/include_rules.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

namespace codmoe::architecture {

namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_below(const fs::path& folder, const std::set<std::string>& extensions) {
  std::vector<fs::path> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && extensions.count(entry.path().extension().string()) > 0)
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool starts_with(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

struct Place {
  std::string module;  ///< "apps" for programs
  bool is_public = false;
  bool is_cuda = false;
};

/// Why a file at `place` may not include `header`; empty where it may.
std::string objection(const Place& place, const std::string& header, const Layers& layers) {
  if (header.find("..") != std::string::npos) return "a path through ..";
  if (starts_with(header, "opencv2/") && place.module != "data" && (place.module != "metrics" || place.is_public)) {
    return "OpenCV belongs to data and the sources of metrics";
  }
  if (starts_with(header, "yaml-cpp/") && place.module != "config") return "yaml-cpp belongs to config alone";
  if (header == "torch/torch.h" && place.is_public) return "<torch/torch.h> in a public header";
  const bool is_torch = starts_with(header, "torch/") || starts_with(header, "ATen/") || starts_with(header, "c10/");
  if (is_torch && place.is_cuda) return "LibTorch in a CUDA file";
  static const std::regex module_header("codmoe/([^/]+)/.+");
  std::smatch match;
  if (!std::regex_match(header, match, module_header) || place.module == "apps") return "";
  const auto allowed = layers.find(place.module);
  if (allowed == layers.end()) return "module " + place.module + " is not in the table of layers";
  return allowed->second.count(match[1]) > 0 ? "" : place.module + " may not use " + match[1].str();
}

void check_file(const fs::path& file, const Place& place, const Layers& layers, std::vector<std::string>& violations) {
  static const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  std::ifstream stream(file);
  std::string line;
  std::smatch match;
  for (int number = 1; std::getline(stream, line); ++number) {
    if (!std::regex_search(line, match, include)) continue;
    const std::string reason = objection(place, match[1], layers);
    if (!reason.empty()) violations.push_back(file.string() + ":" + std::to_string(number) + ": " + reason);
  }
}

}  // namespace

Layers closure(const Layers& direct) {
  Layers all;
  std::function<void(const std::string&, std::set<std::string>&)> add = [&](const auto& module, auto& reached) {
    if (!reached.insert(module).second) return;
    for (const auto& dependency : direct.at(module)) add(dependency, reached);
  };
  for (const auto& [module, unused] : direct) add(module, all[module]);
  return all;
}

std::vector<std::string> include_violations(const fs::path& root, const Layers& layers) {
  std::vector<std::string> violations;
  for (const std::string part : {"include/codmoe", "src", "apps"}) {
    for (const auto& file : files_below(root / part, {".h", ".cpp", ".cu", ".cuh"})) {
      const std::string module = part == "apps" ? part : fs::relative(file, root / part).begin()->string();
      const bool is_cuda = file.extension() == ".cu" || file.extension() == ".cuh";
      check_file(file, {module, part == "include/codmoe", is_cuda}, layers, violations);
    }
  }
  return violations;
}

Layers read_cmake_modules(const fs::path& cmake_lists) {
  static const std::regex call(R"(^codmoe_module\((\w+)(.*)\))");
  Layers modules;
  std::ifstream stream(cmake_lists);
  std::string line;
  std::smatch match;
  while (std::getline(stream, line)) {
    if (!std::regex_search(line, match, call)) continue;
    auto& dependencies = modules[match[1]];
    std::istringstream words(match[2]);
    bool in_dependencies = false;
    for (std::string word; words >> word;) {
      const bool is_keyword = std::all_of(word.begin(), word.end(), [](char c) { return std::isupper(c) || c == '_'; });
      if (is_keyword) in_dependencies = word == "DEPS";
      if (!is_keyword && in_dependencies) dependencies.insert(word);
    }
  }
  return modules;
}

std::vector<std::string> long_files(const fs::path& root, int limit) {
  std::vector<std::string> found;
  for (const std::string part : {"include", "src", "apps", "tests", "cmake", "benchmarks", "configs"}) {
    for (const auto& file :
         files_below(root / part, {".h", ".cpp", ".cu", ".cuh", ".py", ".sh", ".cmake", ".yaml", ".in", ".txt"})) {
      std::ifstream stream(file);
      const auto lines = std::count(std::istreambuf_iterator<char>(stream), {}, '\n');
      if (lines > limit) found.push_back(file.string() + ": " + std::to_string(lines) + " lines");
    }
  }
  return found;
}

}  // namespace codmoe::architecture
