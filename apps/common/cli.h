// What all programs share: the common options of the command line, and one place where failures end.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "codmoe/config/yaml.h"

namespace codmoe::apps {

/// --config, --set, --print-config, --device, --gpus, --output, --log-level.
struct CommonOptions {
  std::filesystem::path config;
  std::vector<std::string> overrides;
  bool print_config = false;
  std::string device = "auto";
  int64_t gpus = 0;  ///< processes to start; 0: none
  std::filesystem::path output;
  std::string log_level = "info";

  /// Adds those of the options that a program (or subcommand) has a use for.
  void add_config(CLI::App& app);
  void add_device(CLI::App& app);
  CLI::Option* add_gpus(CLI::App& app);
  void add_output(CLI::App& app, const std::string& help);
};

/// Parses the command line (with --version and --log-level), then runs `body`. Exit code 0 for done, 2 for wrong usage
/// or configuration, 1 for any other failure, 128 + N after a stop by signal N; a failure prints one line. With --gpus
/// `body` runs in so many processes, and this one only waits for them.
int run(const char* program, const char* purpose, int argc, char** argv, CommonOptions& common,
        const std::function<void(CLI::App&)>& declare, const std::function<void()>& body);

/// The options of `file`, overridden; printed as YAML instead of used where --print-config was given (then: false).
template <class T>
bool load_options(const CommonOptions& common, T& options) {
  options = config::load<T>(common.config, common.overrides, std::move(options));
  if (common.print_config) fmt::print("{}", config::dump(options));
  return !common.print_config;
}

}  // namespace codmoe::apps
