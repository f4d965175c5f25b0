#include "codmoe/engine/adamw.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

namespace codmoe::engine {
namespace {

/// One matrix (decayed) of the head, one vector (not decayed) of the backbone.
class Net : public torch::nn::Module {
 public:
  Net() {
    matrix = register_parameter("matrix", at::tensor({0.5, -1.0, 2.0, 0.25}, at::kDouble).view({2, 2}));
    auto part = register_module("backbone", std::make_shared<torch::nn::Module>());
    vector = part->register_parameter("bias", at::tensor({1.0, -2.0}, at::kDouble));
  }
  at::Tensor matrix, vector;
};

std::vector<ParameterGroup> groups_of(const Net& net) {
  return {{.name = "model", .parameters = {{"matrix", net.matrix}}},
          {.name = "backbone", .lr_scale = 0.5, .parameters = {{"backbone.bias", net.vector}}}};
}

/// The gradient of every value of a parameter.
void set_gradient(at::Tensor& parameter, double value) { parameter.mutable_grad() = at::full_like(parameter, value); }

at::Tensor whole_lr() { return at::ones({}, at::kDouble); }

/// AdamW for one number, as the paper's algorithm 2 has it, in plain double arithmetic.
struct PlainAdamW {
  double value, lr, decay, m = 0, v = 0;
  int t = 0;
  void step(double gradient) {
    ++t;
    value -= lr * decay * value;
    m = 0.9 * m + 0.1 * gradient;
    v = 0.999 * v + 0.001 * gradient * gradient;
    value -= lr * (m / (1 - std::pow(0.9, t))) / (std::sqrt(v / (1 - std::pow(0.999, t))) + 1e-8);
  }
};

const OptimizerOptions kOptions{.lr = 0.1, .weight_decay = 0.01, .clip_norm = 0};

TEST(AdamW, MatchesPlainArithmetic) {
  Net net;
  AdamW optimizer(groups_of(net), kOptions);
  PlainAdamW matrix{.value = 2.0, .lr = 0.1, .decay = 0.01}, vector{.value = -2.0, .lr = 0.05, .decay = 0.0};
  for (int i = 0; i < 5; ++i) {
    const double gradient = 0.3 * i - 0.5;
    set_gradient(net.matrix, gradient);
    set_gradient(net.vector, 2 * gradient);
    optimizer.step(whole_lr());
    matrix.step(gradient);
    vector.step(2 * gradient);
  }
  EXPECT_NEAR(net.matrix[1][0].item<double>(), matrix.value, 1e-9);
  EXPECT_NEAR(net.vector[1].item<double>(), vector.value, 1e-9);
}

TEST(AdamW, ClipsToTheNorm) {
  Net net;
  auto options = kOptions;
  options.clip_norm = 1.0;
  AdamW optimizer(groups_of(net), options);
  set_gradient(net.matrix, 3.0);  // 4 of 3, 2 of 4: the norm is sqrt(36 + 32)
  set_gradient(net.vector, 4.0);
  EXPECT_NEAR(optimizer.step(whole_lr()).item<double>(), std::sqrt(68.0), 1e-5);
  EXPECT_NEAR(optimizer.state().at("exp_avg.matrix")[0][0].item<double>(), 0.1 * 3.0 / std::sqrt(68.0), 1e-6);
}

TEST(AdamW, WithoutAGradientDecaysAndGoesOn) {
  Net net, zero;
  AdamW optimizer(groups_of(net), kOptions), other(groups_of(zero), kOptions);
  for (int i = 0; i < 2; ++i) {
    set_gradient(net.vector, 1.0);
    set_gradient(zero.vector, 1.0);
    set_gradient(zero.matrix, 0.0);
    optimizer.step(whole_lr());
    other.step(whole_lr());
    optimizer.zero_grad();
    EXPECT_FALSE(net.vector.grad().defined());
  }
  EXPECT_TRUE(net.matrix.equal(zero.matrix));
  EXPECT_NE(net.matrix[0][0].item<double>(), 0.5);
}

TEST(AdamW, LeavesOutAStepThatIsNotFinite) {
  Net net;
  AdamW optimizer(groups_of(net), kOptions);
  set_gradient(net.matrix, 1.0);
  optimizer.step(whole_lr());
  const auto before = net.matrix.detach().clone();
  const auto state = optimizer.state().at("exp_avg.matrix").clone();
  set_gradient(net.vector, std::nan(""));
  optimizer.step(whole_lr());
  EXPECT_TRUE(net.matrix.equal(before));
  EXPECT_TRUE(optimizer.state().at("exp_avg.matrix").equal(state));
  EXPECT_EQ(optimizer.skipped().item<float>(), 1.0F);
  EXPECT_EQ(optimizer.state().at("step.model").item<float>(), 1.0F);
}

TEST(AdamW, LeavesOutWhatIsFrozenAndBeginsAnewWhenItThaws) {
  Net net;
  AdamW optimizer(groups_of(net), kOptions);
  PlainAdamW matrix{.value = 2.0, .lr = 0.1, .decay = 0.01}, vector{.value = -2.0, .lr = 0.05, .decay = 0.0};
  for (int i = 0; i < 6; ++i) {
    const bool learns = i >= 4;
    net.vector.set_requires_grad(learns);
    optimizer.update_trainable();
    set_gradient(net.matrix, 0.3 * i - 0.5);
    set_gradient(net.vector, 100.0);
    const auto norm = optimizer.step(whole_lr()).item<double>();
    if (!learns) {
      EXPECT_NEAR(norm, 2 * std::abs(0.3 * i - 0.5), 1e-6);
    }
    matrix.step(0.3 * i - 0.5);
    if (learns) vector.step(100.0);
    EXPECT_NEAR(net.matrix[1][0].item<double>(), matrix.value, 1e-9);
    EXPECT_NEAR(net.vector[1].item<double>(), vector.value, 1e-9);
    EXPECT_EQ(optimizer.state().at("step.backbone").item<float>(), vector.t);
  }
}

TEST(AdamW, StateRoundTrips) {
  Net first, second;
  AdamW a(groups_of(first), kOptions), b(groups_of(second), kOptions);
  set_gradient(first.matrix, 0.7);
  a.step(whole_lr());
  core::TensorMap saved;
  for (const auto& [name, tensor] : a.state()) saved[name] = tensor.clone();
  b.load_state(saved);
  for (const auto& [name, tensor] : b.state()) EXPECT_TRUE(tensor.equal(saved.at(name))) << name;
  saved.erase("exp_avg.matrix");
  EXPECT_THROW(b.load_state(saved), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
