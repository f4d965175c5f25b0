#include "codmoe/engine/test_time.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace codmoe::engine {

void TestTimeOptions::check() const {
  if (scales.empty()) throw core::BadOption("scales", "must name a scale, such as 1");
  for (const double scale : scales) {
    if (scale >= 0.25 && scale <= 4) continue;
    throw core::BadOption("scales", fmt::format("must lie between 0.25 and 4, one is {}", scale));
  }
}

int64_t scaled_size(int64_t size, double scale) {
  constexpr int64_t stride = 32;
  if (scale == 1) return size;
  return std::max<int64_t>(1, std::llround(static_cast<double>(size) * scale / stride)) * stride;
}

std::string describe(const TestTimeOptions& options) {
  if (options == TestTimeOptions{}) return {};
  const bool mirrored = options.tta == TestTimeViews::flip;
  return fmt::format("mean over {}at scale{} {}", mirrored ? "the image and its mirror image, " : "the image ",
                     options.scales.size() == 1 ? "" : "s", fmt::join(options.scales, ", "));
}

}  // namespace codmoe::engine
