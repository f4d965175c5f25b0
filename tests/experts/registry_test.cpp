#include "codmoe/experts/registry.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>

#include "codmoe/core/error.h"
#include "support/register_once.h"
#include "support/tensors.h"

namespace codmoe::experts {
namespace {

const auto kBuiltIn = expert_names();  // before a test adds to them

TEST(Registry, TheSixComeFirstInTheirOrder) {
  const std::vector<std::string> six{"texture", "frequency", "edge", "contrast", "attention", "hybrid"};
  ASSERT_GE(kBuiltIn.size(), six.size());
  EXPECT_TRUE(std::ranges::equal(six, kBuiltIn | std::views::take(six.size())));
}

TEST(Registry, UnknownNameListsTheKnown) {
  try {
    make_expert("textur", {.dim = 8});
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("'textur'"), std::string::npos) << message;
    for (const auto& name : kBuiltIn) EXPECT_NE(message.find(name), std::string::npos) << message;
  }
}

TEST(Registry, FewerThanFourChannelsAreRefused) {
  for (const auto& name : kBuiltIn) {
    EXPECT_THROW(make_expert(name, {.dim = 3}), core::UsageError) << name;
    EXPECT_NO_THROW(make_expert(name, {.dim = 4})) << name;
  }
}

class Twice final : public Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return 2 * x_bchw; }
};

TEST(Registry, TakesOtherExpertsOnce) {
  const auto make = [](const ExpertOptions&) { return std::make_shared<Twice>(); };
  test::register_once("registry_test_twice", make);
  EXPECT_EQ(expert_names().back(), "registry_test_twice");
  const auto expert = make_expert("registry_test_twice", {.dim = 4});
  EXPECT_EQ(expert->forward(at::ones({1, 4, 1, 1})).sum().item<double>(), 8.0);
  EXPECT_FALSE(expert->describe().has_value());
  EXPECT_THROW(register_expert("registry_test_twice", make), core::Error);
  EXPECT_THROW(register_expert("edge", make), core::Error);
}

// Dispatch kernels and FLOP counts trust the description: every convolution of the module must be in it, and no other.
TEST(Description, NamesEveryConvolution) {
  for (const auto& name : kBuiltIn) {
    SCOPED_TRACE(name);
    const auto expert = make_expert(name, {.dim = 10});
    const auto description = expert->describe();
    ASSERT_TRUE(description.has_value()) << "dispatch fused and codmoe-bench need one: codmoe/experts/description.h";
    core::TensorMap parameters;
    for (const auto& item : expert->named_parameters()) {
      if (item.key().find("norm.") == std::string::npos) parameters[item.key()] = item.value();
    }
    int64_t count = 0;
    for (const auto& conv : description->convs) {
      const auto weight = parameters.extract(conv.name + ".weight");
      ASSERT_FALSE(weight.empty()) << conv.name;
      const auto& s = conv.shape;
      EXPECT_EQ(weight.mapped().sizes(), (std::vector<int64_t>{s.out, s.in / s.groups, s.kernel, s.kernel}))
          << conv.name;
      EXPECT_EQ(parameters.erase(conv.name + ".bias"), conv.bias ? 1U : 0U) << conv.name;
      count += weight.mapped().numel() + (conv.bias ? s.out : 0);
    }
    EXPECT_TRUE(parameters.empty()) << parameters.begin()->first;
    EXPECT_EQ(description->parameters(), count);
  }
}

// Counted by hand for C = 8, r = 2, 6 positions.
TEST(Description, CountsOperations) {
  const auto flops = [](const char* name) { return make_expert(name, {.dim = 8})->describe()->flops(6); };
  EXPECT_EQ(flops("texture"), 2 * 6 * (4 * (8 * 2 + 2 * 2 * 9) + 8 * 8));
  EXPECT_EQ(flops("frequency"), 2 * 6 * (4 * 8 * 2 + 8 * 8));
  EXPECT_EQ(flops("edge"), 2 * 6 * (4 * 8 * 2 + 8 * 8));
  EXPECT_EQ(flops("contrast"), 2 * 6 * (8 * 2 * (9 + 9 + 25 + 1) + 8 * 8));
  // 8 heads: the projections once an image, then scores and answers a position.
  EXPECT_EQ(flops("attention"), 2 * (24 * 8 + 8 * 8) + 2 * 6 * (8 * 8 + 8 * 8));
  EXPECT_EQ(flops("attention"), 2 * (8 * 24 + 8 * 8) + 2 * 6 * 2 * 8 * 8);  // 8 heads; projections once an image
  EXPECT_EQ(flops("hybrid"), 2 * 6 * (8 * 25 + 8 * 8 + 8 * 8) + 2 * (8 * 2 + 2 * 8));
}

TEST(Experts, KeepShapeAndDtype) {
  for (const auto& name : kBuiltIn) {
    for (const auto norm : {nn::NormKind::batch, nn::NormKind::group, nn::NormKind::layer}) {
      for (const auto dtype : {at::kFloat, at::kDouble}) {
        const auto expert = make_expert(name, {.dim = 9, .norm = norm});
        expert->to(dtype);
        const auto x = test::randn({2, 9, 1, 6}, 1).to(dtype);
        const auto y = expert->forward(x);
        EXPECT_EQ(y.sizes(), x.sizes()) << name;
        EXPECT_EQ(y.scalar_type(), dtype) << name;
      }
    }
  }
}

}  // namespace
}  // namespace codmoe::experts
