#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace codmoe::report {

/// For text and quoted attributes of HTML and SVG.
std::string escape_markup(std::string_view text);

/// Inline SVG: how many of `scores` (in [0, 1]) lie in each of 20 bins, and their mean.
std::string histogram_svg(const std::vector<double>& scores, std::string_view name);

}  // namespace codmoe::report
