// What reads files that others made.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace codmoe::fuzz {

struct FuzzedReader {
  std::string name;
  std::vector<std::string> seeds;  ///< good files
  /// Reads the file as the programs do. core::Error is the one exception that a bad file may end with.
  void (*read)(const std::filesystem::path& file);
};

std::vector<FuzzedReader> fuzzed_readers();

}  // namespace codmoe::fuzz
