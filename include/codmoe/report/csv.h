// Comma-separated values, read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace codmoe::report {

/// Rows of fields; a quoted field may hold commas, line ends and doubled quotes (RFC 4180). A line end at the very end
/// starts no row. @param where the file's name, for messages
/// @throws core::Error for a quote that is never closed, or stands within or behind a field
std::vector<std::vector<std::string>> parse_csv(std::string_view text, const std::string& where);

}  // namespace codmoe::report
