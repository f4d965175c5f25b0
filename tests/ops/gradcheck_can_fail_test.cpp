// The check of gradients must itself be able to fail: functions whose backward is wrong in known ways.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

#include "support/gradcheck.h"

namespace codmoe::test {
namespace {

enum class Wrong { nothing, factor, one_element };

/// x^3, with a backward that may be wrong.
struct Cube : torch::autograd::Function<Cube> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t wrong) {
    context->save_for_backward({x});
    context->saved_data["wrong"] = wrong;
    return x.pow(3);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& upstream) {
    auto gradient = 3 * context->get_saved_variables()[0].square() * upstream[0];
    const auto wrong = static_cast<Wrong>(context->saved_data["wrong"].toInt());
    if (wrong == Wrong::factor) gradient = gradient * 1.00001;
    if (wrong == Wrong::one_element) gradient[1][2] = 0;
    return {gradient, at::Tensor()};
  }
};

testing::AssertionResult check(Wrong wrong, const GradcheckOptions& options) {
  const auto x = leaf(randn({2, 3}, 1) + 3), y = leaf(randn({2, 3}, 2));
  const auto function = [&] {
    return TensorMap{{"cube", Cube::apply(x, static_cast<int64_t>(wrong)) * y}, {"sine", y.sin()}};
  };
  return gradcheck(function, {{"x", x}, {"y", y}}, options);
}

class Gradcheck : public testing::TestWithParam<bool> {
 protected:
  static GradcheckOptions options() { return {.full = GetParam()}; }
};

TEST_P(Gradcheck, PassesWhereTheBackwardIsRight) { EXPECT_TRUE(check(Wrong::nothing, options())); }

TEST_P(Gradcheck, FindsAWrongFactor) {
  EXPECT_FALSE(check(Wrong::factor, options()));
  auto wide = options();
  wide.relative = 1e-4;
  EXPECT_TRUE(check(Wrong::factor, wide));  // the tolerance is what it says
}

TEST_P(Gradcheck, NamesTheWorstElement) {
  const auto found = check(Wrong::one_element, options());
  EXPECT_FALSE(found);
  const std::string message = found.message();
  EXPECT_NE(message.find("x[1, 2] -> "), std::string::npos) << message;
  EXPECT_EQ(message.find("y["), std::string::npos) << message;
  if (GetParam()) {
    EXPECT_NE(message.find("x[1, 2] -> cube[1, 2]: autograd 0"), std::string::npos) << message;
  }
}

TEST_P(Gradcheck, FindsADetachedPath) {
  const auto x = leaf(randn({3}, 3));
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", x * x.detach()}}; }, {{"x", x}}, options()));
}

TEST_P(Gradcheck, FindsGradientsThatAreNoNumbers) {
  const auto x = leaf(at::zeros({2}, at::kDouble));
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", (x * x).sqrt() * 0 + x}}; }, {{"x", x}}, options()));
}

TEST_P(Gradcheck, TakesLeavesOfAnyStrides) {
  const auto x = leaf(randn({3, 4}, 4).t());
  ASSERT_FALSE(x.is_contiguous());
  EXPECT_TRUE(gradcheck([&] { return TensorMap{{"y", x.exp()}}; }, {{"x", x}}, options()));
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", x.exp() + x.detach()}}; }, {{"x", x}}, options()));
}

TEST_P(Gradcheck, RefusesWhatItCannotCheck) {
  const auto x = leaf(randn({3}, 5));
  const auto single = x.detach().to(at::kFloat).requires_grad_();
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", single.exp()}}; }, {{"x", single}}, options()));
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", x.detach()}}; }, {{"x", x}}, options()));
  double calls = 0;
  EXPECT_FALSE(gradcheck([&] { return TensorMap{{"y", x + ++calls}}; }, {{"x", x}}, options()));
}

INSTANTIATE_TEST_SUITE_P(All, Gradcheck, testing::Bool(),
                         [](const auto& which) { return which.param ? "Full" : "Projected"; });

}  // namespace
}  // namespace codmoe::test
