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
    net.matrix.mutable_grad().fill_(gradient);
    net.vector.mutable_grad().fill_(2 * gradient);
    optimizer.step(1.0);
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
  net.matrix.mutable_grad().fill_(3.0);  // 4 of 3, 2 of 4: the norm is sqrt(36 + 32)
  net.vector.mutable_grad().fill_(4.0);
  EXPECT_NEAR(optimizer.step(1.0).item<double>(), std::sqrt(68.0), 1e-5);
  EXPECT_NEAR(net.matrix.grad()[0][0].item<double>(), 3.0 / std::sqrt(68.0), 1e-5);
}

TEST(AdamW, LeavesOutAStepThatIsNotFinite) {
  Net net;
  AdamW optimizer(groups_of(net), kOptions);
  net.matrix.mutable_grad().fill_(1.0);
  optimizer.step(1.0);
  const auto before = net.matrix.detach().clone();
  const auto state = optimizer.state().at("exp_avg.matrix").clone();
  net.vector.mutable_grad()[0] = std::nan("");
  optimizer.step(1.0);
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
    net.matrix.mutable_grad().fill_(0.3 * i - 0.5);
    net.vector.mutable_grad().fill_(100.0);
    const auto norm = optimizer.step(1.0).item<double>();
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
  first.matrix.mutable_grad().fill_(0.7);
  a.step(1.0);
  core::TensorMap saved;
  for (const auto& [name, tensor] : a.state()) saved[name] = tensor.clone();
  b.load_state(saved);
  for (const auto& [name, tensor] : b.state()) EXPECT_TRUE(tensor.equal(saved.at(name))) << name;
  saved.erase("exp_avg.matrix");
  EXPECT_THROW(b.load_state(saved), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
