#include "benchmarks/old_forms.h"

#include <gtest/gtest.h>

#include <map>

#include "codmoe/core/error.h"
#include "codmoe/nn/weights.h"
#include "support/tensors.h"

namespace codmoe::bench {
namespace {

/// Forms of `expert` at 12 channels in float64, whose parameters are all away from their defaults.
std::vector<ExpertForm> float64_forms(const std::string& expert, nn::NormKind norm) {
  auto forms = make_forms(expert, {.dim = 12, .norm = norm});
  for (auto& form : forms) {
    form.module->to(at::kDouble);
    test::randomize(*form.module, 3);  // the same for all that have the same parameters
  }
  return forms;
}

// Both passes of both modes: what is timed beside each other must be the same work.
void expect_same_function(const std::string& expert, const std::string& old_name) {
  for (const auto norm : {nn::NormKind::batch, nn::NormKind::group, nn::NormKind::layer}) {
    for (const bool training : {true, false}) {
      const auto forms = float64_forms(expert, norm);
      ASSERT_EQ(forms.size(), 2U);
      EXPECT_EQ(forms[0].name, "new");
      EXPECT_EQ(forms[1].name, old_name);
      ASSERT_TRUE(forms[1].same_function);
      std::vector<at::Tensor> outputs, input_gradients;
      for (const auto& form : forms) {
        form.module->train(training);
        auto x = test::randn({3, 12, 5, 7}, 4).requires_grad_();
        outputs.push_back(form.module->forward(x));
        outputs.back().backward(test::randn({3, 12, 5, 7}, 5));
        input_gradients.push_back(x.grad());
      }
      EXPECT_TRUE(test::is_near(outputs[1], outputs[0], 1e-12));
      EXPECT_TRUE(test::is_near(input_gradients[1], input_gradients[0], 1e-12));
      EXPECT_TRUE(test::are_near(test::gradients(*forms[1].module), test::gradients(*forms[0].module), 1e-12));
      EXPECT_TRUE(test::are_near(test::buffers(*forms[1].module), test::buffers(*forms[0].module), 1e-12));
    }
  }
}

TEST(OldForms, PoolingTwiceIsTheSameFunction) { expect_same_function("frequency", "pooled twice"); }

TEST(OldForms, LiteralAttentionIsTheSameFunction) { expect_same_function("attention", "literal"); }

TEST(OldForms, OfOneFunctionHaveTheNewOnesWeights) {
  const auto forms = make_forms("frequency", {.dim = 8});
  const at::NoGradGuard no_grad;
  for (const auto& form : forms) form.module->eval();
  const auto x = test::randn({2, 8, 4, 4}, 1).to(at::kFloat);
  EXPECT_TRUE(test::is_near(forms[1].module->forward(x), forms[0].module->forward(x), 1e-6));
}

TEST(OldForms, SeparableContrastIsAResidualChain) {
  auto form = make_forms("contrast", {.dim = 8}).at(1);
  EXPECT_EQ(form.name, "depthwise + two 1x1");
  EXPECT_FALSE(form.same_function);
  const auto x = at::ones({2, 8, 4, 4});
  for (auto& parameter : form.module->named_parameters()) {
    if (parameter.key().find("2.norm") == std::string::npos) continue;
    const at::NoGradGuard no_grad;
    parameter.value().zero_();  // gelu(0) = 0: what is left is x
  }
  EXPECT_TRUE(form.module->forward(x).equal(x));
}

TEST(OldForms, ExpertsThatReplaceNothingStandAlone) {
  for (const auto* name : {"texture", "edge", "hybrid"}) EXPECT_EQ(make_forms(name, {.dim = 8}).size(), 1U) << name;
  EXPECT_THROW(make_forms("texure", {.dim = 8}), core::UsageError);
}

struct Figures {
  int64_t parameters = 0, flops = 0;
};

// By hand for C = 10 (r = 2, last branch 4) on 3x5: N = 15. A norm has 2 values a channel, a bias one.
const std::map<std::string, std::vector<Figures>> kByHand = {
    {"texture", {{3 * (20 + 2 + 36 + 4) + (40 + 4 + 144 + 8) + 100 + 20, 2 * 15 * (3 * (20 + 36) + (40 + 144) + 100)}}},
    {"frequency", {{100 + 20 + 100 + 20, 2 * 15 * (100 + 100)}, {240, 2 * 15 * 200}}},
    {"edge", {{240, 2 * 15 * 200}}},
    {"contrast",
     {{20 * (9 + 9 + 25) + 40 + 20 + 100 + 20, 2 * 15 * (20 * 43 + 40 + 100)},
      {10 * 9 + 100 + 100 + 3 * 20, 2 * 15 * (90 + 200)}}},
    // 5 heads. Folded: projections of one position, then two products of C values a head and position.
    {"attention", {{20 + 330 + 110, 2 * 400 + 2 * 15 * 2 * 5 * 10}, {460, 2 * 15 * 400 + 2 * 15 * 2 * 10}}},
    // The gate is of one position and C / 4 = 2 wide.
    {"hybrid", {{250 + 20 + 110 + 22 + 30 + 110, 2 * 15 * (250 + 100 + 100) + 2 * (20 + 20)}}},
};

TEST(OldForms, FiguresEqualACountByHand) {
  for (const auto& [name, expected] : kByHand) {
    const auto forms = make_forms(name, {.dim = 10});
    ASSERT_EQ(forms.size(), expected.size()) << name;
    for (std::size_t i = 0; i < forms.size(); ++i) {
      EXPECT_EQ(nn::count_parameters(*forms[i].module), expected[i].parameters) << name << ", " << forms[i].name;
      EXPECT_EQ(forms[i].module->describe().value().flops(15), expected[i].flops) << name << ", " << forms[i].name;
    }
  }
}

// The description, from which FLOPs are counted, holds every weight and bias of the module's convolutions.
TEST(OldForms, DescriptionsHoldEveryConvolution) {
  for (const auto& [name, unused] : kByHand) {
    for (const auto& form : make_forms(name, {.dim = 10})) {
      int64_t count = 0;
      for (const auto& parameter : form.module->named_parameters()) {
        if (parameter.key().find("norm") == std::string::npos) count += parameter.value().numel();
      }
      EXPECT_EQ(form.module->describe().value().parameters(), count) << name << ", " << form.name;
    }
  }
}

}  // namespace
}  // namespace codmoe::bench
