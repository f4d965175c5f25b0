#include "codmoe/core/cuda_graph.h"
#include "metrics/batch_scores_cases.h"
#include "support/cuda.h"

namespace codmoe::metrics {
namespace {

TEST(BatchScoresGpu, AreThoseOfScoreImage) {
  if (!test::has_cuda()) GTEST_SKIP() << "no GPU";
  expect_vectors_of_the_cpu(31, 43, c10::Device(c10::kCUDA, 0));
}

/// A capture fails where the host waits.
TEST(BatchScoresGpu, QueuesWithoutWaiting) {
  if (!test::has_cuda()) GTEST_SKIP() << "no GPU";
  const c10::Device device(c10::kCUDA, 0);
  const auto pair = make_vector({"ellipse", "good", 31, 43, 5});
  const auto pred = pair.pred_hw.unsqueeze(0).to(device), mask = pair.mask_hw.unsqueeze(0).to(device);
  const auto add = [&] {
    BatchScores scores;
    scores.add(pred, mask);
  };
  const core::SideStream stream(device);
  add();
  EXPECT_NO_THROW(core::CudaGraph(device, add));
}

}  // namespace
}  // namespace codmoe::metrics
