#include "names.h"

#include <fmt/format.h>

#include <algorithm>

namespace codmoe::report {

std::string list_names(std::span<const std::string> names, std::size_t most) {
  const std::size_t shown = std::min(most, names.size());
  const std::string list = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  return shown == names.size() ? list : fmt::format("{} and {} more", list, names.size() - shown);
}

}  // namespace codmoe::report
