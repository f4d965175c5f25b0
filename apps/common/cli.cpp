#include "common/cli.h"

#include <fmt/format.h>

#include "codmoe/core/log.h"
#include "codmoe/dist/launch.h"

namespace codmoe::apps {

void CommonOptions::add_config(CLI::App& app) {
  app.add_option("--config", config, "YAML file of options")->check(CLI::ExistingFile);
  app.add_option("--set", overrides, "override one option: key.path=value (repeatable)")->allow_extra_args(false);
  app.add_flag("--print-config", print_config, "print the resolved options as YAML and stop");
}

void CommonOptions::add_device(CLI::App& app) {
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N")->capture_default_str();
}

CLI::Option* CommonOptions::add_gpus(CLI::App& app) {
  return app
      .add_option("--gpus", gpus, "work on N GPUs of this machine, a process each (with --device cpu: N processes)")
      ->check(CLI::Range(1, 1024));
}

void CommonOptions::add_output(CLI::App& app, const std::string& help) { app.add_option("--output", output, help); }

namespace {

/// One line: LibTorch's messages carry a C++ backtrace behind the first.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int fail(const char* program, const std::exception& error, int code) {
  fmt::print(stderr, "{}: {}\n", program, first_line(error.what()));
  return code;
}

}  // namespace

int run(const char* program, const char* purpose, int argc, char** argv, CommonOptions& common,
        const std::function<void(CLI::App&)>& declare, const std::function<void()>& body) {
  CLI::App app(purpose, program);
  app.set_version_flag("--version", fmt::format("{} {}", program, CODMOE_VERSION));
  app.add_option("--log-level", common.log_level, "trace, debug, info, warn, error or off")->capture_default_str();
  declare(app);
  try {
    app.parse(argc, argv);
    core::init_log(common.log_level);
    if (common.gpus > 1 && !common.print_config && !dist::is_local_rank())
      return dist::run_local_ranks(common.gpus, argv);
    body();
    return 0;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return fail(program, error, 2);
  } catch (const core::UsageError& error) {
    return fail(program, error, 2);
  } catch (const core::Interrupted& stop) {
    return 128 + stop.signal();
  } catch (const std::exception& error) {
    return fail(program, error, 1);
  }
}

}  // namespace codmoe::apps
