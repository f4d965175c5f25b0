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

/// Of what runs write and read again: a checkpoint's state.json, metrics.jsonl, the scores of `codmoe-eval --csv`.
std::vector<FuzzedReader> run_file_readers();

}  // namespace codmoe::fuzz
