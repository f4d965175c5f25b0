#include "codmoe/engine/optimizer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <cmath>

#include "codmoe/core/options_json.h"
#include "support/tensors.h"

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
          {.name = "backbone", .lr_scale = 0.5, .part = 1, .parameters = {{"backbone.bias", net.vector}}}};
}

/// The gradient of every value of a parameter.
void set_gradient(at::Tensor& parameter, double value) { parameter.mutable_grad() = at::full_like(parameter, value); }

at::Tensor whole_lr() { return at::ones({2}, at::kDouble); }

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

TEST(AdamWRule, MatchesPlainArithmetic) {
  Net net;
  Optimizer optimizer(groups_of(net), kOptions);
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

TEST(Optimizer, ClipsToTheNorm) {
  Net net;
  auto options = kOptions;
  options.clip_norm = 1.0;
  Optimizer optimizer(groups_of(net), options);
  set_gradient(net.matrix, 3.0);  // 4 of 3, 2 of 4: the norm is sqrt(36 + 32)
  set_gradient(net.vector, 4.0);
  optimizer.step(whole_lr());
  EXPECT_NEAR(optimizer.gradient_norm().item<double>(), std::sqrt(68.0), 1e-5);
  EXPECT_NEAR(optimizer.state().at("exp_avg.matrix")[0][0].item<double>(), 0.1 * 3.0 / std::sqrt(68.0), 1e-6);
}

TEST(Optimizer, WithoutAGradientDecaysAndGoesOn) {
  Net net, zero;
  Optimizer optimizer(groups_of(net), kOptions), other(groups_of(zero), kOptions);
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

OptimizerOptions options_of(const std::string& name) {
  auto options = kOptions;
  options.name = name;
  return options;
}

core::TensorMap copy_of(const core::TensorMap& tensors) {
  core::TensorMap copies;
  for (const auto& [name, tensor] : tensors) copies[name] = tensor.detach().clone();
  return copies;
}

class EveryOptimizer : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(All, EveryOptimizer, ::testing::Values("adamw", "sgd", "lion"),
                         [](const auto& which) { return which.param; });

TEST_P(EveryOptimizer, LeavesOutAStepThatIsNotFinite) {
  for (const double clip : {0.0, 1.0}) {
    Net net;
    auto options = options_of(GetParam());
    options.clip_norm = clip;
    Optimizer optimizer(groups_of(net), options);
    set_gradient(net.matrix, 1.0);
    optimizer.step(whole_lr());
    const auto weights = net.matrix.detach().clone();
    auto before = copy_of(optimizer.state());
    set_gradient(net.vector, std::nan(""));  // of another list than the matrix
    optimizer.step(whole_lr());
    set_gradient(net.vector, 0.0);
    optimizer.step(whole_lr(), /*loss=*/at::full({}, INFINITY));
    EXPECT_TRUE(net.matrix.equal(weights));
    EXPECT_EQ(optimizer.left_out().item<float>(), 1.0F);
    before["skipped"] = before["skipped_in_row"] = at::full({}, 2.0F);
    EXPECT_TRUE(test::are_equal(copy_of(optimizer.state()), before));
    optimizer.step(whole_lr(), at::ones({}));
    EXPECT_FALSE(net.matrix.equal(weights));
    EXPECT_EQ(optimizer.skipped().item<float>(), 2.0F);
    EXPECT_EQ(optimizer.skipped_in_row().item<float>(), 0.0F);
  }
}

TEST_P(EveryOptimizer, GoesOnFromItsStateBitForBit) {
  Net first, second;
  Optimizer a(groups_of(first), options_of(GetParam()));
  const auto step = [](Optimizer& optimizer, Net& net, int i) {
    set_gradient(net.matrix, 0.7 - 0.4 * i);
    set_gradient(net.vector, 0.1 * i);
    optimizer.step(whole_lr());
  };
  for (int i = 0; i < 3; ++i) step(a, first, i);
  Optimizer b(groups_of(second), options_of(GetParam()));
  b.load_state(copy_of(a.state()));
  second.matrix.set_data(first.matrix.detach().clone());
  second.vector.set_data(first.vector.detach().clone());
  for (int i = 3; i < 6; ++i) {
    step(a, first, i);
    step(b, second, i);
  }
  EXPECT_TRUE(second.matrix.equal(first.matrix));
  EXPECT_TRUE(second.vector.equal(first.vector));
  EXPECT_TRUE(test::are_equal(copy_of(b.state()), copy_of(a.state())));
}

/// Of make_training_vectors.py.
struct SavedCase {
  const char* name;
  OptimizerOptions options;
};
void PrintTo(const SavedCase& tested, std::ostream* out) { *out << tested.name; }
OptimizerOptions saved_options(const char* name) {
  return {.name = name,
          .lr = 0.1,
          .weight_decay = 0.05,
          .clip_norm = 0,
          .adamw = {.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6}};
}
OptimizerOptions saved_sgd(const SgdOptions& sgd) {
  auto options = saved_options("sgd");
  options.sgd = sgd;
  return options;
}

class SavedOptimizer : public ::testing::TestWithParam<SavedCase> {};
INSTANTIATE_TEST_SUITE_P(All, SavedOptimizer,
                         ::testing::Values(SavedCase{"adamw", saved_options("adamw")},
                                           SavedCase{"sgd_plain", saved_sgd({.momentum = 0})},
                                           SavedCase{"sgd_momentum", saved_sgd({.momentum = 0.9})},
                                           SavedCase{"sgd_nesterov", saved_sgd({.momentum = 0.7, .nesterov = true})}),
                         [](const auto& which) { return which.param.name; });

TEST_P(SavedOptimizer, AgreesWithPyTorch) {
  const auto file = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/engine/data/optimizers.safetensors").tensors;
  auto matrix = file.at("start.matrix").clone().requires_grad_(),
       vector = file.at("start.vector").clone().requires_grad_();
  Optimizer optimizer({{.name = "model", .parameters = {{"matrix", matrix}}},
                       {.name = "backbone", .lr_scale = 0.3, .part = 1, .parameters = {{"vector", vector}}}},
                      GetParam().options);
  for (int64_t i = 0; i < file.at("factors").size(0); ++i) {
    matrix.mutable_grad() = file.at("gradients.matrix")[i].clone();
    vector.mutable_grad() = file.at("gradients.vector")[i].clone();
    optimizer.step(file.at("factors")[i].expand({2}));
  }
  const auto expected = test::with_prefix(file, std::string(GetParam().name) + ".");
  EXPECT_TRUE(test::is_near(matrix.detach(), expected.at("matrix"), 1e-12));
  EXPECT_TRUE(test::is_near(vector.detach(), expected.at("vector"), 1e-12));
}

/// Lion for one number, as the paper's algorithm 2 has it, in plain double arithmetic.
struct PlainLion {
  double value, lr, decay, m = 0;
  void step(double gradient) {
    const double c = 0.9 * m + 0.1 * gradient;
    const double sign = c > 0 ? 1 : c < 0 ? -1 : 0;
    value = value - lr * (sign + decay * value);
    m = 0.99 * m + 0.01 * gradient;
  }
};

TEST(LionRule, MatchesPlainArithmetic) {
  Net net;
  Optimizer optimizer(groups_of(net), options_of("lion"));
  PlainLion matrix{.value = 2.0, .lr = 0.1, .decay = 0.01}, vector{.value = -2.0, .lr = 0.05, .decay = 0.0};
  for (int i = 0; i < 9; ++i) {
    const double gradient = 0.3 * i - (i % 3 == 0 ? 2.0 : 0.5);
    set_gradient(net.matrix, gradient);
    set_gradient(net.vector, -gradient);
    optimizer.step(whole_lr());
    matrix.step(gradient);
    vector.step(-gradient);
  }
  EXPECT_NEAR(net.matrix[1][0].item<double>(), matrix.value, 1e-12);
  EXPECT_NEAR(net.vector[1].item<double>(), vector.value, 1e-12);
  EXPECT_NEAR(optimizer.state().at("exp_avg.matrix")[1][0].item<double>(), matrix.m, 1e-12);
}

TEST(LionRule, ClipsTheGradientThatItAverages) {
  Net net;
  auto options = options_of("lion");
  options.clip_norm = 1.0;
  Optimizer optimizer(groups_of(net), options);
  set_gradient(net.matrix, 3.0);
  set_gradient(net.vector, 4.0);
  optimizer.step(whole_lr());
  EXPECT_NEAR(optimizer.state().at("exp_avg.matrix")[0][0].item<double>(), 0.01 * 3.0 / std::sqrt(68.0), 1e-8);
}

TEST(Optimizer, ClipsEachValue) {
  Net net;
  auto options = options_of("sgd");
  options.sgd.momentum = 0;
  options.weight_decay = 0;
  options.clip_value = 0.5;
  Optimizer optimizer(groups_of(net), options);
  set_gradient(net.matrix, -3.0);
  set_gradient(net.vector, 0.25);
  optimizer.step(whole_lr());
  EXPECT_NEAR(net.matrix[0][0].item<double>(), 0.5 + 0.1 * 0.5, 1e-12);
  EXPECT_NEAR(net.vector[0].item<double>(), 1.0 - 0.05 * 0.25, 1e-12);
}

TEST(Optimizer, PartsHaveFactorsOfTheirOwn) {
  Net net;
  auto options = options_of("sgd");
  options.weight_decay = 0;
  Optimizer optimizer(groups_of(net), options);
  set_gradient(net.matrix, 1.0);
  set_gradient(net.vector, 1.0);
  optimizer.step(at::tensor({0.5, 0.0}, at::kDouble));
  EXPECT_NEAR(net.matrix[0][0].item<double>(), 0.5 - 0.1 * 0.5, 1e-12);
  EXPECT_EQ(net.vector[0].item<double>(), 1.0);
}

std::string refusal(const core::Json& tree) {
  OptimizerOptions options;
  try {
    core::read_options(tree, {}, options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(OptimizerOptions, RefusesWhatMeansNothing) {
  EXPECT_EQ(refusal({{"name", "adam"}}), "name must be one of adamw, sgd, lion; it is 'adam'");
  EXPECT_EQ(refusal({{"clip_value", 0.5}}), "clip_value must be 0 where clip_norm is not; that is 1");
  EXPECT_EQ(refusal({{"sgd", {{"momentum", 0.0}, {"nesterov", true}}}}), "sgd.nesterov needs a momentum above 0");
  EXPECT_EQ(refusal({{"name", "sgd"}, {"clip_value", 0.5}, {"clip_norm", 0}}), "");
}

TEST(Optimizer, LeavesOutWhatIsFrozenAndBeginsAnewWhenItThaws) {
  Net net;
  Optimizer optimizer(groups_of(net), kOptions);
  PlainAdamW matrix{.value = 2.0, .lr = 0.1, .decay = 0.01}, vector{.value = -2.0, .lr = 0.05, .decay = 0.0};
  for (int i = 0; i < 6; ++i) {
    const bool learns = i >= 4;
    net.vector.set_requires_grad(learns);
    optimizer.update_trainable();
    set_gradient(net.matrix, 0.3 * i - 0.5);
    set_gradient(net.vector, 100.0);
    optimizer.step(whole_lr());
    const auto norm = optimizer.gradient_norm().item<double>();
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

TEST(Optimizer, RefusesTheStateOfAnother) {
  Net net;
  Optimizer adamw(groups_of(net), kOptions), sgd(groups_of(net), options_of("sgd"));
  EXPECT_THROW(sgd.load_state(copy_of(adamw.state())), core::Error);
  auto state = copy_of(adamw.state());
  state["more"] = at::zeros({});
  EXPECT_THROW(adamw.load_state(state), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
