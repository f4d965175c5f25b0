// JSON that others may have written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace codmoe::core {

using Json = nlohmann::ordered_json;

/// @param where the file, for messages
/// @throws Error where the text is no JSON, or nests deeper than any file of this project: nlohmann-json copies and
///   writes by recursion, so that 100,000 brackets would end the program
Json parse_json(std::string_view text, const std::string& where);

}  // namespace codmoe::core
