// Test-time augmentation: the mean of the probabilities over several views of an image.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::engine {

enum class TestTimeViews {
  none,  ///< the image alone
  flip   ///< the image and its mirror image
};
constexpr auto enum_names(TestTimeViews) {
  return core::names<TestTimeViews>({{"none", TestTimeViews::none}, {"flip", TestTimeViews::flip}});
}

/// The views of `tta` are predicted at each scale. The default is one view: the image itself.
struct TestTimeOptions {
  TestTimeViews tta = TestTimeViews::none;
  std::vector<double> scales = {1.0};  ///< of the model's input size

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("tta", tta);
    visit("scales", scales);
  }
  /// @throws core::BadOption where there is no scale, or one outside 0.25 to 4
  void check() const;
  bool operator==(const TestTimeOptions&) const = default;
};

/// The side of the model's input at a scale: a multiple of 32, the coarsest stride, but at scale 1 `size` itself.
int64_t scaled_size(int64_t size, double scale);

/// For a table's conventions: "mean over the image and its mirror image, at scales 0.75, 1". Empty of the default.
std::string describe(const TestTimeOptions& options);

}  // namespace codmoe::engine
