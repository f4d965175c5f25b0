#pragma once

#include <span>
#include <string>

namespace codmoe::report {

/// "a, b, c and 4 more": at most `most` of them.
std::string list_names(std::span<const std::string> names, std::size_t most);

}  // namespace codmoe::report
