#pragma once

#include <string>
#include <vector>

namespace codmoe::report {

/// Inline SVG: how many of the IoU in [0, 1] lie in each of 20 bins, and their mean. At least one is needed.
std::string histogram_svg(const std::vector<double>& ious);

}  // namespace codmoe::report
