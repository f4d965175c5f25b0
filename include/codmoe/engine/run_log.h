// metrics.jsonl: one JSON object a line, for programs to read.
#pragma once

#include <filesystem>
#include <fstream>

#include "codmoe/core/options_json.h"

namespace codmoe::engine {

class RunLog {
 public:
  /// Opens `file` for appending. Lines of steps after `step` are dropped first: a resumed run writes them again.
  RunLog(std::filesystem::path file, int64_t step);
  /// @throws core::Error where the line cannot be written.
  void write(const core::Json& line);

 private:
  std::filesystem::path file_;
  std::ofstream stream_;
};

}  // namespace codmoe::engine
