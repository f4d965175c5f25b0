#include "engine/narrow_run.h"
#include "support/cuda.h"

namespace codmoe::engine {
namespace {

class NarrowWeightsGpu : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    core::set_deterministic(true);
  }
  void TearDown() override { core::set_deterministic(false); }
};

TEST_P(NarrowWeightsGpu, GiveAutocastsNumbersAlsoWhereStagesAreRecomputed) {
  for (const auto& strides : {std::vector<int64_t>{}, {8, 32}, {4, 8, 16, 32}}) {
    SCOPED_TRACE(strides.size());
    const testing::NarrowCase which{GetParam(), c10::kCUDA, strides};
    testing::expect_autocasts_numbers(narrow_run(which, /*narrow=*/true), narrow_run(which, /*narrow=*/false));
  }
}

INSTANTIATE_TEST_SUITE_P(Families, NarrowWeightsGpu,
                         ::testing::Values("pvt_v2_b0", "tf_efficientnet_lite0", "resnet18", "edgenext_xx_small"),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace codmoe::engine
