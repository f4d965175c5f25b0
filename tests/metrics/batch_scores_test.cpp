#include "codmoe/metrics/batch_scores.h"

#include "codmoe/core/error.h"
#include "codmoe/metrics/distance_transform.h"
#include "metrics/batch_scores_cases.h"

namespace codmoe::metrics {
namespace {

TEST(BatchScores, AreThoseOfScoreImage) {
  expect_vectors_of_the_cpu(31, 43, c10::kCPU);
  expect_vectors_of_the_cpu(40, 24, c10::kCPU);
}

TEST(BatchScores, BatchesAddUp) {
  const auto a = make_vector({"ellipse", "good", 20, 30, 1});
  const auto b = make_vector({"noise", "soft", 20, 30, 2});
  BatchScores apart, together;
  apart.add(a.pred_hw.unsqueeze(0), a.mask_hw.unsqueeze(0));
  apart.add(b.pred_hw.unsqueeze(0), b.mask_hw.unsqueeze(0));
  together.add(at::stack({a.pred_hw, b.pred_hw}), at::stack({a.mask_hw, b.mask_hw}));
  EXPECT_EQ(apart.size(), 2);
  EXPECT_EQ(apart.summary().size(), BatchScores::names().size());
  for (const auto& name : BatchScores::names()) EXPECT_TRUE(apart.summary().contains(name)) << name;
  for (const auto& [name, value] : together.summary()) EXPECT_NEAR(apart.summary().at(name), value, 1e-12) << name;
}

template <class T>
at::Tensor as_tensor(std::span<const T> values) {
  return at::tensor(std::vector<int64_t>(values.begin(), values.end()));
}

TEST(BatchScores, NearestPixelIsThatOfTheDistanceTransform) {
  for (const char* kind : {"pixel", "noise", "sparse", "grid", "columns", "rows", "ellipse"}) {
    const auto mask = make_vector({kind, "zero", 31, 43, 7}).mask_hw.gt(128);
    const auto [index, squares] = nearest_foreground(mask.unsqueeze(0));
    const auto bytes = mask.to(at::kByte);
    NearestForeground nearest(bytes.const_data_ptr<uint8_t>(), 31, 43);
    const auto numbers = at::arange(31 * 43).view({31, 43});
    const auto rows = numbers.floor_divide(43).to(at::kByte);
    const auto columns = numbers.remainder(43).to(at::kByte);
    for (int64_t i = 0; i < 31; ++i) {
      nearest.go_to(i);
      const auto expected_squares = as_tensor(nearest.squared_distances());
      EXPECT_TRUE(squares[0].slice(0, i * 43, i * 43 + 43).equal(expected_squares)) << kind;
      const auto row = as_tensor(nearest.values_of(rows.const_data_ptr<uint8_t>()));
      const auto column = as_tensor(nearest.values_of(columns.const_data_ptr<uint8_t>()));
      const auto expected_index = at::where(bytes[i].gt(0), numbers[i], row * 43 + column);
      EXPECT_TRUE(index[0].slice(0, i * 43, i * 43 + 43).equal(expected_index)) << kind;
    }
  }
}

TEST(BatchScores, WrongInputIsRefused) {
  BatchScores scores;
  const auto good = at::zeros({2, 4, 5}, at::kByte);
  EXPECT_THROW(scores.add(good, good.select(0, 0)), c10::Error);
  EXPECT_THROW(scores.add(good.to(at::kFloat), good), c10::Error);
  EXPECT_THROW(scores.add(good.narrow(0, 0, 0), good.narrow(0, 0, 0)), c10::Error);
  EXPECT_THROW(scores.summary(), core::Error);
}

}  // namespace
}  // namespace codmoe::metrics
