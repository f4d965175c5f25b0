#include "codmoe/ops/linear.h"

#include <ATen/autocast_mode.h>

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

std::vector<at::Tensor> apply(const std::vector<at::Tensor>& in) {
  // Under autocast a bfloat16 map meets float32 weights.
  const bool narrow = in[0].scalar_type() == at::kBFloat16;
  at::autocast::set_autocast_enabled(c10::kCUDA, narrow);
  at::autocast::set_autocast_dtype(c10::kCUDA, at::kBFloat16);
  auto y = linear(in[0], in[1], in.size() > 2 ? in[2] : at::Tensor());
  at::autocast::set_autocast_enabled(c10::kCUDA, false);
  return {y};
}

class LinearGpu : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(LinearGpu, AsOnTheCpu) {
  const auto& shape = GetParam();
  const int64_t out = 72;
  const auto weight = test::randn({out, shape.back()}, 2);
  expect_as_on_cpu({apply, {test::randn(shape, 1), weight, test::randn({out}, 3)}, {true, false, false}});
  expect_as_on_cpu({apply, {test::randn(shape, 1), weight}, {true, false}});
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearGpu,
                         testing::Values(std::vector<int64_t>{1, 64}, std::vector<int64_t>{3000, 64},
                                         std::vector<int64_t>{2, 11, 11, 320}));

}  // namespace
}  // namespace codmoe::ops
