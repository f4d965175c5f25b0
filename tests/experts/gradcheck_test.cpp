// Gradients of every expert, for its input and all its parameters, against central differences.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "codmoe/experts/registry.h"
#include "experts/kinks.h"
#include "support/gradcheck.h"

namespace codmoe::experts {
namespace {

struct Case {
  std::vector<int64_t> shape;
  nn::NormKind norm = nn::NormKind::batch;
  bool training = true;
  std::vector<int64_t> mask = {};  ///< empty: absent
};

std::vector<Case> cases() {
  const std::vector<int64_t> even{3, 8, 4, 3}, odd{3, 6, 3, 5}, nine{2, 9, 5, 2}, row{3, 10, 1, 4}, point{3, 7, 1, 1};
  std::vector<Case> list;
  for (const auto& shape : {even, odd, nine, row}) {
    list.push_back({.shape = shape, .training = false});
    for (const auto norm : {nn::NormKind::batch, nn::NormKind::group, nn::NormKind::layer}) {
      list.push_back({.shape = shape, .norm = norm});
    }
  }
  for (const auto& mask : {std::vector<int64_t>{1, 0, 1}, {0, 1, 0}, {0, 0, 0}}) {
    for (const auto& shape : {odd, row, point}) list.push_back({.shape = shape, .mask = mask});
  }
  // Where there are no statistics of the batch, the mask must change nothing.
  list.push_back({.shape = odd, .training = false, .mask = {0, 1, 0}});
  list.push_back({.shape = odd, .norm = nn::NormKind::group, .mask = {0, 1, 0}});
  list.push_back({.shape = odd, .norm = nn::NormKind::layer, .mask = {0, 1, 0}});
  return list;
}

testing::AssertionResult check(const std::string& name, const Case& c, const test::GradcheckOptions& options) {
  const auto expert = make_expert(name, {.dim = c.shape[1], .norm = c.norm});
  expert->to(at::kDouble);
  test::randomize(*expert, 5);
  expert->train(c.training);
  const auto x = test::leaf(images_off_kinks(c.shape, 6));
  nn::SampleMask mask;
  if (!c.mask.empty()) mask = at::tensor(c.mask).to(at::kBool);

  auto leaves = test::parameters(*expert);
  leaves["x"] = x;
  return test::gradcheck([&] { return test::TensorMap{{"y", expert->forward(x, mask)}}; }, leaves, options);
}

class ExpertGradients : public testing::TestWithParam<std::string> {};

TEST_P(ExpertGradients, AgreeWithCentralDifferences) {
  for (const auto& c : cases()) {
    SCOPED_TRACE(fmt::format("[{}] {} {} mask [{}]", fmt::join(c.shape, ", "), core::name_of(c.norm),
                             c.training ? "training" : "evaluation", fmt::join(c.mask, ", ")));
    EXPECT_TRUE(check(GetParam(), c, {.step = 3e-7}));  // a norm of two values, twice, bends sharply
  }
}

TEST_P(ExpertGradients, AgreeInEveryElement) {
  EXPECT_TRUE(check(GetParam(), {.shape = {3, 5, 2, 3}, .mask = {1, 0, 1}}, {.full = true}));
}

INSTANTIATE_TEST_SUITE_P(All, ExpertGradients, testing::ValuesIn(expert_names()),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace codmoe::experts
