// Running the built programs as a user does.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

namespace codmoe::test {

struct ProgramResult {
  int exit_code = -1;
  std::string output;  ///< standard output and standard error
};

/// Runs "NAME ARGUMENTS" from the build folder through the shell.
inline ProgramResult run_program(const std::string& name, const std::string& arguments) {
  const auto program = std::filesystem::absolute(std::filesystem::path(CODMOE_BINARY_DIR) / "bin" / name).string();
  auto* pipe = ::popen(("'" + program + "' " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {};
  ProgramResult result;
  std::array<char, 4096> buffer{};
  while (const auto count = std::fread(buffer.data(), 1, buffer.size(), pipe))
    result.output.append(buffer.data(), count);
  const int status = ::pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace codmoe::test
