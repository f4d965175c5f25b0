#include "benchmarks/agreement.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "codmoe/core/error.h"

namespace codmoe::bench {
namespace {

/// The message of the refusal, empty where there is none.
std::string refusal(const std::vector<Answer>& answers, double allowed) {
  try {
    check_agreement("layer float32 batch 4", answers, allowed);
  } catch (const core::Error& error) {
    return error.what();
  }
  return "";
}

TEST(Agreement, DeviationIsRelativeToTheLargestValue) {
  EXPECT_DOUBLE_EQ(relative_deviation(at::tensor({1.0, -8.5}), at::tensor({1.5, -8.0})), 0.5 / 8.0);
}

TEST(Agreement, PassesWhatRoundingMakes) {
  const auto value = at::tensor({1.0F, -2.0F});
  EXPECT_EQ(refusal({{"a", value}, {"b", value * (1 + 1e-6)}}, tolerance(Precision::float32)), "");
}

TEST(Agreement, NamesTheWorst) {
  const auto value = at::tensor({1.0, -2.0});
  const auto message = refusal({{"sequential", value}, {"batched", value * 1.01}, {"dense", value * 1.02}}, 1e-4);
  EXPECT_EQ(message,
            "layer float32 batch 4: dense deviates from sequential by 2.00e-02 of the largest value; allowed is 1e-04");
}

TEST(Agreement, NotANumberNeverPasses) {
  const auto value = at::tensor({1.0, -2.0});
  const auto broken = at::tensor({1.0, std::numeric_limits<double>::quiet_NaN()});
  const auto message = refusal({{"sequential", value}, {"batched", broken}, {"dense", value}}, 1e-4);
  EXPECT_NE(message.find("batched deviates"), std::string::npos) << message;
}

}  // namespace
}  // namespace codmoe::bench
