#include "metrics/batch_scores_cases.h"
#include "support/cuda.h"

namespace codmoe::metrics {
namespace {

TEST(BatchScoresGpu, AreThoseOfScoreImage) {
  if (!test::has_cuda()) GTEST_SKIP() << "no GPU";
  expect_vectors_of_the_cpu(31, 43, c10::Device(c10::kCUDA, 0));
}

}  // namespace
}  // namespace codmoe::metrics
