#include "codmoe/ops/band_split.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

/// Average over a window of odd `width` around every position, zeros outside counted.
at::Tensor slow_box(const at::Tensor& x_bchw, int64_t width) {
  auto out = at::zeros_like(x_bchw, at::MemoryFormat::Contiguous);
  const auto in = x_bchw.accessor<double, 4>();
  auto result = out.accessor<double, 4>();
  for (int64_t b = 0; b < in.size(0); ++b) {
    for (int64_t c = 0; c < in.size(1); ++c) {
      for (int64_t i = 0; i < in.size(2); ++i) {
        for (int64_t j = 0; j < in.size(3); ++j) {
          for (int64_t y = std::max<int64_t>(0, i - width / 2); y <= std::min(in.size(2) - 1, i + width / 2); ++y) {
            for (int64_t x = std::max<int64_t>(0, j - width / 2); x <= std::min(in.size(3) - 1, j + width / 2); ++x) {
              result[b][c][i][j] += in[b][c][y][x] / static_cast<double>(width * width);
            }
          }
        }
      }
    }
  }
  return out;
}

TEST(BandSplit, AgreesWithPlainLoops) {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{2, 3, 7, 9}, {1, 2, 1, 6}, {1, 1, 1, 1}, {3, 1, 4, 2}}) {
    SCOPED_TRACE(testing::PrintToString(shape));
    const auto x = test::randn(shape, 1);
    const auto low = slow_box(x, 3), wide = slow_box(x, 5);
    for (const auto& input : {x, x.contiguous(at::MemoryFormat::ChannelsLast)}) {
      const auto bands = band_split(input);
      EXPECT_TRUE(test::is_near(bands.low, low, 1e-13));
      EXPECT_TRUE(test::is_near(bands.mid, low - wide, 1e-13));
      EXPECT_TRUE(test::is_near(bands.high, x - low, 1e-13));
    }
  }
}

TEST(BandSplit, BandsAddUp) {
  const auto x = test::randn({2, 4, 8, 8}, 2).to(at::kFloat);
  const auto bands = band_split(x);
  EXPECT_TRUE(test::is_near(bands.low + bands.high, x, 1e-6));
  EXPECT_EQ(bands.mid.scalar_type(), at::kFloat);
}

TEST(BandSplit, RefusesOtherTensors) {
  EXPECT_THROW(band_split(at::zeros({3, 4, 4})), c10::Error);
  EXPECT_THROW(band_split(at::zeros({1, 3, 4, 4}, at::kLong)), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
