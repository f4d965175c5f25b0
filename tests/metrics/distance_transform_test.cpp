#include "codmoe/metrics/distance_transform.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "vectors.h"

namespace codmoe::metrics {
namespace {

// (squared distance, column, row) of the nearest foreground pixel, ties by column, then row: tries them all.
std::tuple<int64_t, int64_t, int64_t> try_all(const at::Tensor& mask, int64_t i, int64_t j) {
  const auto m = mask.accessor<uint8_t, 2>();
  std::tuple<int64_t, int64_t, int64_t> best{1 << 30, 0, 0};
  for (int64_t y = 0; y < mask.size(0); ++y) {
    for (int64_t x = 0; x < mask.size(1); ++x) {
      if (m[y][x]) best = std::min(best, {square(y - i) + square(x - j), x, y});
    }
  }
  return best;
}

class NearestForegroundTest : public testing::TestWithParam<const char*> {};

TEST_P(NearestForegroundTest, AgreesWithSearchThroughAllPixels) {
  const at::Tensor mask = make_vector({GetParam(), "zero", 31, 43, 7}).mask_hw.gt(128).to(at::kByte);
  NearestForeground nearest(mask.const_data_ptr<uint8_t>(), 31, 43);
  std::vector<int32_t> index(43);
  std::vector<int32_t> squared_distance(43);
  for (int64_t i = 0; i < 31; ++i) {
    nearest.row(i, index.data(), squared_distance.data());
    for (int64_t j = 0; j < 43; ++j) {
      const auto [distance, column, row] = try_all(mask, i, j);
      const auto k = static_cast<std::size_t>(j);
      ASSERT_EQ(squared_distance[k], distance) << i << ", " << j;
      ASSERT_EQ(index[k], row * 43 + column) << i << ", " << j;
    }
  }
}

TEST(NearestForegroundRows, OnwardsIsAShortCutOnly) {
  at::Tensor mask = at::zeros({90, 70}, at::kByte);
  mask.slice(0, 30, 50).slice(1, 5, 60).copy_(make_vector({"sparse", "zero", 20, 55, 3}).mask_hw.gt(128));
  NearestForeground nearest(mask.const_data_ptr<uint8_t>(), 90, 70);
  NearestForeground step_by_step(mask.const_data_ptr<uint8_t>(), 90, 70);
  std::vector<int32_t> index(70);
  std::vector<int32_t> squared_distance(70);
  std::vector<int32_t> expected_index(70);
  std::vector<int32_t> expected_distance(70);
  const auto check = [&](int64_t i, bool onwards) {
    nearest.row(i, index.data(), squared_distance.data(), onwards);
    step_by_step.row(i, expected_index.data(), expected_distance.data());
    EXPECT_EQ(index, expected_index) << "row " << i;
    EXPECT_EQ(squared_distance, expected_distance) << "row " << i;
  };
  for (int64_t i = 29; i >= 0; --i) check(i, i < 29);
  for (int64_t i = 50; i < 90; ++i) check(i, i > 50);
}

INSTANTIATE_TEST_SUITE_P(Masks, NearestForegroundTest,
                         testing::Values("full", "pixel", "first_pixel", "last_pixel", "last_column", "ellipse", "hole",
                                         "noise", "sparse", "grid", "columns", "rows", "grey"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace codmoe::metrics
