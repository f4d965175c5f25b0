// On the CPU, whose autocast has the same rules: copies, their gradients, and the parameters' return. Linear layers and
// biases, which take copies on CUDA alone, and every family of backbones: narrow_weights_gpu_test.cpp.
#include "engine/narrow_run.h"

namespace codmoe::engine {
namespace {

using testing::narrow_run;

TEST(NarrowWeights, GiveAutocastsNumbersAlsoWhereStagesAreRecomputed) {
  const auto wanted = narrow_run({"tf_efficientnet_lite0", c10::kCPU, {}}, /*narrow=*/false);
  for (const auto& strides : {std::vector<int64_t>{}, {8, 32}, {4, 8, 16, 32}}) {
    SCOPED_TRACE(strides.size());
    testing::expect_autocasts_numbers(narrow_run({"tf_efficientnet_lite0", c10::kCPU, strides}, /*narrow=*/true),
                                      wanted);
  }
}

}  // namespace
}  // namespace codmoe::engine
