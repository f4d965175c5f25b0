#include "codmoe/report/object_layout.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace codmoe::report {
namespace {

at::Tensor black(int64_t height, int64_t width) { return at::zeros({height, width}, at::kByte); }

/// Sizes of the 8-connected regions above 128, by flood fill.
std::vector<int64_t> flooded(const at::Tensor& mask) {
  at::Tensor left = mask.gt(128).clone();
  auto open = left.accessor<bool, 2>();
  std::vector<int64_t> sizes;
  for (int64_t y = 0; y < mask.size(0); ++y) {
    for (int64_t x = 0; x < mask.size(1); ++x) {
      if (!open[y][x]) continue;
      std::vector<std::pair<int64_t, int64_t>> stack{{y, x}};
      open[y][x] = false;
      sizes.push_back(0);
      while (!stack.empty()) {
        const auto [i, k] = stack.back();
        stack.pop_back();
        ++sizes.back();
        for (int64_t a = std::max<int64_t>(0, i - 1); a <= std::min(i + 1, mask.size(0) - 1); ++a) {
          for (int64_t b = std::max<int64_t>(0, k - 1); b <= std::min(k + 1, mask.size(1) - 1); ++b) {
            if (std::exchange(open[a][b], false)) stack.emplace_back(a, b);
          }
        }
      }
    }
  }
  return sizes;
}

TEST(ObjectLayout, CountsLikeAFloodFill) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 300; ++trial) {
    const at::Tensor mask = black(1 + random() % 24, 1 + random() % 40);
    const unsigned density = 1 + random() % 90;
    auto* level = mask.data_ptr<uint8_t>();
    for (int64_t i = 0; i < mask.numel(); ++i)
      level[i] = random() % 100 < density ? 129 + random() % 127 : random() % 129;
    const auto sizes = flooded(mask);
    const double area = mask.gt(128).sum().item<double>();
    const auto objects = std::count_if(sizes.begin(), sizes.end(), [&](auto size) { return size >= 0.01 * area; });
    EXPECT_EQ(object_layout(mask).count, objects) << mask;
  }
}

TEST(ObjectLayout, LongRunsEndWhereTheyEnd) {
  for (int64_t begin = 0; begin < 20; ++begin) {
    for (int64_t end = begin + 1; end <= 40; ++end) {
      const at::Tensor mask = black(3, 40);
      mask[1].slice(0, begin, end).fill_(255);
      const ObjectLayout layout = object_layout(mask);
      EXPECT_EQ(layout.count, 1);
      EXPECT_DOUBLE_EQ(layout.centre_x, static_cast<double>(begin + end) / 2 / 40);
      EXPECT_DOUBLE_EQ(layout.centre_y, 0.5);
      EXPECT_EQ(layout.touches_border, begin == 0 || end == 40);
    }
  }
}

TEST(ObjectLayout, SpecksAreNoObjectsAndMoveNothing) {
  const at::Tensor mask = black(100, 100);
  mask.slice(0, 20, 40).slice(1, 20, 40).fill_(255);
  mask.slice(0, 97, 100).slice(1, 99, 100).fill_(255);  // 3 of 403
  EXPECT_EQ(object_layout(mask).count, 1);
  EXPECT_FALSE(object_layout(mask).touches_border);
  EXPECT_DOUBLE_EQ(object_layout(mask).centre_x, 0.3);
  mask.slice(0, 95, 100).slice(1, 99, 100).fill_(255);  // 5 of 405
  EXPECT_EQ(object_layout(mask).count, 2);
  EXPECT_TRUE(object_layout(mask).touches_border);
}

TEST(ObjectLayout, ThereIsAnObjectWhereThereIsForeground) {
  const at::Tensor specks = black(60, 60);
  for (int64_t y = 1; y < 60; y += 4) specks[y].slice(0, 1, 59, 4).fill_(255);
  EXPECT_EQ(object_layout(specks).count, 225);  // all as large as the largest
  specks[1][2] = 255;
  EXPECT_EQ(object_layout(specks).count, 1);
  EXPECT_EQ(object_layout(black(4, 4)).count, 0);
  EXPECT_EQ(object_layout(at::full({4, 4}, 128, at::kByte)).count, 0);
  EXPECT_TRUE(object_layout(at::full({1, 1}, 129, at::kByte)).touches_border);
}

}  // namespace
}  // namespace codmoe::report
