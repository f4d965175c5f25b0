// Test-time augmentation: the mean of the probabilities over several views of an image.
#pragma once

#include <cstdint>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::engine {

/// Each scale is predicted, and its mirror image where `flip`. The default is one view: the image itself.
struct TestTimeOptions {
  bool flip = false;
  std::vector<double> scales = {1.0};  ///< of the model's input size

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("flip", flip);
    visit("scales", scales);
  }
  /// @throws core::BadOption where there is no scale, or one outside 0.25 to 4
  void check() const;
};

/// The side of the model's input at a scale: a multiple of 32, the coarsest stride, but at scale 1 `size` itself.
int64_t scaled_size(int64_t size, double scale);

}  // namespace codmoe::engine
