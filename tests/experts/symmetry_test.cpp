// Symmetries that every expert has, whatever its weights: mirrored or transposed kernels on a mirrored or transposed
// image give the mirrored or transposed result. A mix-up of rows and columns, or of a padding's sides, breaks them.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>

#include "codmoe/experts/registry.h"
#include "support/tensors.h"

namespace codmoe::experts {
namespace {

class ExpertSymmetry : public testing::TestWithParam<std::string> {
 protected:
  using Change = std::function<at::Tensor(const at::Tensor&)>;

  static void expect_follows(const Change& change) {
    const auto expert = make_expert(GetParam(), {.dim = 10});
    expert->to(at::kDouble);
    test::randomize(*expert, 1);
    const auto x = test::randn({3, 10, 7, 4}, 2);
    const auto y = expert->forward(x);
    {
      const at::NoGradGuard no_grad;
      for (auto& item : expert->named_parameters()) {
        if (item.value().dim() != 4) continue;
        const auto changed = change(item.value()).contiguous();
        ASSERT_EQ(changed.sizes(), item.value().sizes()) << item.key() << ": this needs square kernels";
        item.value().copy_(changed);
      }
    }
    EXPECT_TRUE(test::is_near(expert->forward(change(x)), change(y), 1e-10));
  }
};

TEST_P(ExpertSymmetry, Transposed) {
  expect_follows([](const at::Tensor& map) { return map.transpose(2, 3); });
}

TEST_P(ExpertSymmetry, MirroredLeftAndRight) {
  expect_follows([](const at::Tensor& map) { return map.flip({3}); });
}

TEST_P(ExpertSymmetry, MirroredUpAndDown) {
  expect_follows([](const at::Tensor& map) { return map.flip({2}); });
}

INSTANTIATE_TEST_SUITE_P(All, ExpertSymmetry, testing::ValuesIn(expert_names()),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace codmoe::experts
