#include "skeleton.h"

#include <algorithm>
#include <array>

namespace codmoe::metrics {
namespace {

// One bit for each of the 256 neighbourhoods (bits 0 … 7 from the top left clockwise) in which a pixel goes, by pass.
// They are not quite those of the paper: facts of scikit-image's skeletonize, compared with it by
// tests/metrics/compare_with_pysodmetrics.py through the human correction effort.
constexpr std::array<std::array<uint64_t, 4>, 2> removed{{
    {0x10000100d000dcc8, 0x1101000000000000, 0x0003800080cc, 0x0b008a000080ce},
    {0xd1000100d5008480, 0x5101110100000000, 0x0001000100000084, 0x130300030000008b},
}};

class Thinning {
 public:
  Thinning(const uint8_t* mask, int64_t height, int64_t width)
      : height_(height), row_(width + 2), pixels_(static_cast<std::size_t>((height + 2) * row_)) {
    for (int64_t i = 0; i < height; ++i) {
      std::copy_n(mask + i * width, width, pixels_.begin() + (i + 1) * row_ + 1);
    }
    for (int64_t k = 0; k < static_cast<int64_t>(pixels_.size()); ++k) {
      if (pixels_[static_cast<std::size_t>(k)] != 0) left_.push_back(k);
    }
  }

  /// Whether a pixel went.
  bool pass(std::size_t which) {
    std::vector<int64_t> gone;
    for (const int64_t k : left_) {
      const std::size_t n = neighbours(k);
      if ((removed[which][n / 64] >> (n % 64) & 1) != 0) gone.push_back(k);
    }
    for (const int64_t k : gone) pixels_[static_cast<std::size_t>(k)] = 0;
    std::erase_if(left_, [this](int64_t k) { return pixels_[static_cast<std::size_t>(k)] == 0; });
    return !gone.empty();
  }

  std::vector<uint8_t> result() const {
    const int64_t width = row_ - 2;
    std::vector<uint8_t> thin(static_cast<std::size_t>(height_ * width));
    for (const int64_t k : left_) thin[static_cast<std::size_t>((k / row_ - 1) * width + k % row_ - 1)] = 1;
    return thin;
  }

 private:
  std::size_t neighbours(int64_t k) const {
    const uint8_t* p = pixels_.data() + k;
    return static_cast<std::size_t>(p[-row_ - 1] | p[-row_] << 1 | p[-row_ + 1] << 2 | p[1] << 3 | p[row_ + 1] << 4 |
                                    p[row_] << 5 | p[row_ - 1] << 6 | p[-1] << 7);
  }

  int64_t height_;
  int64_t row_;  // pixels in a row, with a frame of 0
  std::vector<uint8_t> pixels_;
  std::vector<int64_t> left_;
};

}  // namespace

std::vector<uint8_t> skeleton(const uint8_t* mask, int64_t height, int64_t width) {
  Thinning thinning(mask, height, width);
  bool changed = true;
  while (changed) {
    changed = thinning.pass(0);
    changed = thinning.pass(1) || changed;
  }
  return thinning.result();
}

}  // namespace codmoe::metrics
