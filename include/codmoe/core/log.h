// One logger for all programs: spdlog on standard error, so that standard output holds results alone.
#pragma once

#include <string>

namespace codmoe::core {

/// Sets spdlog's default logger. `level`: trace, debug, info, warn, error or off.
/// @throws UsageError for any other word.
void init_log(const std::string& level);

}  // namespace codmoe::core
