#include "codmoe/core/log.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/error.h"

namespace codmoe::core {

void init_log(const std::string& level) {
  const auto parsed = spdlog::level::from_str(level);
  if (parsed == spdlog::level::off && level != "off") {
    throw UsageError(
        fmt::format("--log-level: '{}' is unknown; allowed are trace, debug, info, warn, error, off", level));
  }
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("codmoe", std::make_shared<spdlog::sinks::stderr_color_sink_mt>()));
  spdlog::set_pattern("%H:%M:%S %^%l%$ %v");
  spdlog::set_level(parsed);
}

}  // namespace codmoe::core
