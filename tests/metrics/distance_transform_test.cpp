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

at::Tensor mask_of_kind(const char* kind) {
  return make_vector({kind, "zero", 31, 43, 7}).mask_hw.gt(128).to(at::kByte);
}

// Of the foreground pixel nearest to each pixel, as an image's values: its row and its column.
struct Coordinates {
  at::Tensor row_hw;
  at::Tensor column_hw;
};

Coordinates coordinates(const at::Tensor& mask) {
  const at::Tensor rows = at::arange(mask.size(0), at::kByte).unsqueeze(1).expand_as(mask);
  return {rows.contiguous(), at::arange(mask.size(1), at::kByte).expand_as(mask).contiguous()};
}

void expect_nearest(NearestForeground& nearest, const at::Tensor& mask, int64_t i) {
  const Coordinates image = coordinates(mask);
  nearest.go_to(i);
  const auto squared_distances = nearest.squared_distances();
  ASSERT_EQ(std::ssize(squared_distances), mask.size(1));
  const auto rows = nearest.values_of(image.row_hw.const_data_ptr<uint8_t>());
  const std::vector<uint8_t> row(rows.begin(), rows.end());
  const auto column = nearest.values_of(image.column_hw.const_data_ptr<uint8_t>());
  for (int64_t j = 0; j < mask.size(1); ++j) {
    const auto expected = try_all(mask, i, j);
    const auto k = static_cast<std::size_t>(j);
    ASSERT_EQ(squared_distances[k], std::get<0>(expected)) << i << ", " << j;
    if (squared_distances[k] == 0) continue;
    ASSERT_EQ(std::tuple(column[k], row[k]), std::tuple(std::get<1>(expected), std::get<2>(expected)))
        << i << ", " << j;
  }
}

TEST_P(NearestForegroundTest, AgreesWithSearchThroughAllPixels) {
  const at::Tensor mask = mask_of_kind(GetParam());
  NearestForeground nearest(mask.const_data_ptr<uint8_t>(), 31, 43);
  for (int64_t i = 0; i < 31; ++i) expect_nearest(nearest, mask, i);
}

// What was nearest nowhere on the way up is remembered until the way down, with rows left out and taken again.
TEST_P(NearestForegroundTest, TakesRowsInAnyOrder) {
  const at::Tensor mask = mask_of_kind(GetParam());
  NearestForeground nearest(mask.const_data_ptr<uint8_t>(), 31, 43);
  for (const int64_t i : {15, 14, 13, 10, 3, 0, 0, 16, 17, 30, 2, 29, 28, 27, 5, 6, 7, 7, 8, 0}) {
    expect_nearest(nearest, mask, i);
  }
}

// Many rows above and below the object, most of whose pixels are nearest nowhere there.
TEST(NearestForegroundRows, StayExactFarFromTheObject) {
  at::Tensor mask = at::zeros({90, 70}, at::kByte);
  mask.slice(0, 30, 50).slice(1, 5, 60).copy_(make_vector({"sparse", "zero", 20, 55, 3}).mask_hw.gt(128));
  NearestForeground nearest(mask.const_data_ptr<uint8_t>(), 90, 70);
  for (int64_t i = 40; i >= 0; --i) expect_nearest(nearest, mask, i);
  for (int64_t i = 41; i < 90; ++i) expect_nearest(nearest, mask, i);
}

INSTANTIATE_TEST_SUITE_P(Masks, NearestForegroundTest,
                         testing::Values("full", "pixel", "first_pixel", "last_pixel", "last_column", "ellipse", "hole",
                                         "noise", "sparse", "grid", "columns", "rows", "grey"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace
}  // namespace codmoe::metrics
