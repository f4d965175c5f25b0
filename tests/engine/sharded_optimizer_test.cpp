// An optimizer whose averages are shared out over ranks, beside one that keeps all.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <cmath>

#include "codmoe/core/files.h"
#include "codmoe/core/memory_meter.h"
#include "codmoe/engine/checkpoint.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

constexpr int64_t kSteps = 20;
constexpr int64_t kSkipped = 13;  // the step whose gradient is not a number

/// Two groups that are frozen at first, matrices (decayed) and vectors, and one parameter in another memory order.
class Net : public torch::nn::Module {
 public:
  explicit Net(at::ScalarType dtype) {
    for (const auto& shape : std::vector<std::vector<int64_t>>{{7, 5}, {5}, {3, 4, 3, 3}, {40, 9}, {11}, {6, 6}, {1}}) {
      const auto i = parameters().size();
      auto value = test::randn(shape, i).to(dtype);
      if (value.dim() == 4) value = value.contiguous(at::MemoryFormat::ChannelsLast);
      register_parameter("p" + std::to_string(i), value);
    }
  }
  std::vector<ParameterGroup> groups() const {
    std::vector<ParameterGroup> all{{.name = "model"},
                                    {.name = "backbone.0", .lr_scale = 0.5, .part = 1},
                                    {.name = "backbone.1", .lr_scale = 0.5, .part = 1}};
    const auto named = named_parameters();
    for (std::size_t i = 0; i < named.size(); ++i) {
      all[i % all.size()].parameters.emplace_back(named[i].key(), named[i].value());
    }
    return all;
  }
  std::vector<at::Tensor> weights() const {
    std::vector<at::Tensor> all;
    for (const auto& parameter : parameters()) all.push_back(parameter.detach().clone());
    return all;
  }
};

/// A net, and what trains it on gradients that depend on the step alone.
struct Training {
  Training(const OptimizerOptions& options, at::ScalarType dtype, dist::Group* ranks)
      : net(dtype), optimizer(net.groups(), options, {.group = ranks}) {}

  /// backbone.1 thaws at step 4, backbone.0 at step 9; it then stands still again for a while.
  void freeze(int64_t step) {
    const std::vector<bool> learns{true, step >= 9 && step != 15, step >= 4};
    const auto parameters = net.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor(parameters[i]).set_requires_grad(learns[i % learns.size()]);
    }
    optimizer.update_trainable();
  }

  void step(int64_t step) {
    freeze(step);
    optimizer.zero_grad();
    const auto parameters = net.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto& parameter = parameters[i];
      if (!parameter.requires_grad() || (i == 3 && step == 7)) continue;  // 7: nothing flows into one
      const auto seed = 100 * static_cast<uint64_t>(step + 1) + i;
      parameter.mutable_grad() = at::empty_like(parameter).detach().copy_(test::randn(parameter.sizes(), seed));
    }
    if (step == kSkipped) parameters.back().mutable_grad().fill_(std::nan(""));
    optimizer.step(at::tensor({1.0, 0.3 + 0.1 * static_cast<double>(step)}, parameters.front().scalar_type()));
  }

  Net net;
  Optimizer optimizer;
};

core::TensorMap copy_of(const core::TensorMap& tensors) {
  core::TensorMap copies;
  for (const auto& [name, tensor] : tensors) copies[name] = tensor.detach().clone();
  return copies;
}

testing::AssertionResult all_equal(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (!actual.at(i).equal(expected[i])) return testing::AssertionFailure() << "parameter " << i << " differs";
  }
  return testing::AssertionSuccess();
}

/// What an optimizer alone makes of the steps.
struct Expected {
  Expected(const OptimizerOptions& options, at::ScalarType dtype) {
    Training training(options, dtype, nullptr);
    for (int64_t i = 0; i < kSteps; ++i) {
      training.step(i);
      weights.push_back(training.net.weights());
      norms.push_back(training.optimizer.gradient_norm().item<float>());
    }
    state = copy_of(training.optimizer.state());
  }
  std::vector<std::vector<at::Tensor>> weights;
  std::vector<float> norms;
  core::TensorMap state;
};

void expect_same(dist::Group& group, const OptimizerOptions& options, at::ScalarType dtype, const Expected& expected) {
  SCOPED_TRACE(testing::Message() << "rank " << group.rank() << " of " << group.ranks());
  Training training(options, dtype, &group);
  for (int64_t i = 0; i < kSteps; ++i) {
    training.step(i);
    ASSERT_TRUE(all_equal(training.net.weights(), expected.weights[static_cast<std::size_t>(i)])) << "step " << i;
    const auto norm = training.optimizer.gradient_norm().item<float>();
    EXPECT_EQ(training.optimizer.left_out().item<float>(), i == kSkipped ? 1.0F : 0.0F);
    EXPECT_TRUE(i == kSkipped || norm == expected.norms[static_cast<std::size_t>(i)]) << norm;
  }
  const auto state = training.optimizer.state();
  EXPECT_TRUE(test::are_equal(state, group.leads() ? expected.state : core::TensorMap{}));
}

struct Case {
  const char* name;
  at::ScalarType dtype;
  OptimizerOptions options;
};
void PrintTo(const Case& tested, std::ostream* out) { *out << tested.name; }

OptimizerOptions with_clip_norm(const char* name) {
  return {.name = name, .lr = 0.1, .weight_decay = 0.01, .clip_norm = 1.0};
}
OptimizerOptions with_clip_value(const char* name) {
  return {.name = name, .lr = 0.1, .weight_decay = 0.01, .clip_norm = 0, .clip_value = 0.5};
}
const OptimizerOptions kWithoutAverages = {.name = "sgd", .lr = 0.1, .clip_norm = 0, .sgd = {.momentum = 0}};

class ShardedOptimizer : public testing::TestWithParam<Case> {
 protected:
  const OptimizerOptions& options() const { return GetParam().options; }
  at::ScalarType dtype() const { return GetParam().dtype; }
};
INSTANTIATE_TEST_SUITE_P(All, ShardedOptimizer,
                         testing::Values(Case{"adamw_float64", at::kDouble, with_clip_norm("adamw")},
                                         Case{"adamw_float32", at::kFloat, with_clip_norm("adamw")},
                                         Case{"adamw_clip_value", at::kFloat, with_clip_value("adamw")},
                                         Case{"sgd_float64", at::kDouble, with_clip_norm("sgd")},
                                         Case{"sgd_float32", at::kFloat, with_clip_norm("sgd")},
                                         Case{"sgd_without_averages", at::kFloat, kWithoutAverages},
                                         Case{"lion_float64", at::kDouble, with_clip_norm("lion")},
                                         Case{"lion_float32", at::kFloat, with_clip_norm("lion")}),
                         [](const auto& which) { return which.param.name; });

TEST_P(ShardedOptimizer, MovesTheWeightsAsOneAloneDoes) {
  const Expected expected(options(), dtype());
  EXPECT_FALSE(all_equal(expected.weights[0], expected.weights[1]));
  for (const int64_t ranks : {1, 2, 3, 4}) {
    test::run_ranks(ranks, [&](dist::Group& group) { expect_same(group, options(), dtype(), expected); });
  }
}

TEST_P(ShardedOptimizer, GoesOnOverOtherRanksBitForBit) {
  const Expected expected(options(), dtype());
  core::TensorMap state;
  std::vector<at::Tensor> weights;
  int64_t begin = 0;
  for (const auto& [ranks, end] : std::vector<std::pair<int64_t, int64_t>>{{2, 6}, {1, 11}, {3, kSteps}}) {
    const auto loaded = std::exchange(state, {});
    const auto from = weights;
    test::run_ranks(ranks, [&, ranks = ranks, end = end](dist::Group& group) {
      Training training(options(), dtype(), &group);
      if (begin > 0) {
        const at::NoGradGuard no_grad;
        at::_foreach_copy_(training.net.parameters(), from);
        training.optimizer.load_state(loaded);
      }
      for (int64_t i = begin; i < end; ++i) training.step(i);
      auto own = copy_of(training.optimizer.state());
      if (!group.leads()) return;
      state = std::move(own);
      weights = training.net.weights();
    });
    begin = end;
  }
  EXPECT_TRUE(all_equal(weights, expected.weights.back()));
  EXPECT_TRUE(test::are_equal(state, expected.state));
}

const auto kAdamW = with_clip_norm("adamw");

TEST(ShardedOptimizerRanks, MayBeMoreThanThereAreParameters) {
  const Expected expected(kAdamW, at::kFloat);
  test::run_ranks(9, [&](dist::Group& group) { expect_same(group, kAdamW, at::kFloat, expected); });
}

TEST(ShardedOptimizerState, CheckpointsAreThoseOfOneAlone) {
  const test::TemporaryFolder folder;
  const auto save = [&](const char* name, Training& training) {
    const CheckpointStore store(folder / name);
    std::filesystem::create_directories(folder / name);
    store.save(training.net, training.optimizer.state(), /*average=*/nullptr, {}, {}, "data", /*keep_last=*/1);
    return core::read_file(folder / name / "step-0" / "optimizer.safetensors");
  };
  Training alone(kAdamW, at::kFloat, nullptr);
  for (int64_t i = 0; i < 10; ++i) alone.step(i);
  const auto expected = save("alone", alone);
  test::run_ranks(3, [&](dist::Group& group) {
    Training training(kAdamW, at::kFloat, &group);
    for (int64_t i = 0; i < 10; ++i) training.step(i);
    if (group.leads()) {
      EXPECT_TRUE(save("sharded", training) == expected);
    } else {
      EXPECT_TRUE(training.optimizer.state().empty());
    }
  });
}

TEST(ShardedOptimizerState, EveryRankRefusesTheStateOfAnother) {
  auto state = Expected(kAdamW, at::kFloat).state;
  state.erase("exp_avg.p3");
  test::run_ranks(3, [&](dist::Group& group) {
    Training training(kAdamW, at::kFloat, &group);
    EXPECT_THROW(training.optimizer.load_state(state), core::Error);
  });
}

/// 8 parameters of 4 KiB, of which each of 4 ranks owns 2.
TEST(ShardedOptimizerMemory, IsThatOfAPartOfTheAverages) {
  constexpr int64_t bytes = 4096, scalars = 64 * 5;
  ParameterGroup group{.name = "model"};
  core::TensorMap state;
  for (int i = 0; i < 8; ++i) {
    const auto name = std::to_string(i);
    group.parameters.emplace_back(name, at::zeros({bytes / 4}).requires_grad_());
    for (const auto* average : {"exp_avg.", "exp_avg_sq."}) state[average + name] = at::ones({bytes / 4});
  }
  for (const auto* scalar : {"skipped", "skipped_in_row", "step.model"}) state[scalar] = at::zeros({});
  for (const auto& [ranks, tensors] : std::vector<std::pair<int64_t, int64_t>>{{1, 8 * 2}, {4, 2 * 2 + 2}}) {
    test::run_ranks(ranks, [&, tensors = tensors](dist::Group& together) {
      const core::MemoryMeter meter;  // the last two tensors of four ranks are the buffer that weights are sent by
      Optimizer optimizer({group}, kAdamW, {.group = &together});
      optimizer.load_state(state);
      EXPECT_GE(meter.live(), tensors * bytes);
      EXPECT_LE(meter.live(), tensors * bytes + scalars);
      EXPECT_LE(meter.peak(), tensors * bytes + scalars);
    });
  }
}

TEST(ShardedOptimizerMemory, StaysWhereItIsWhileParametersThaw) {
  test::run_ranks(2, [](dist::Group& group) {
    const core::MemoryMeter meter;
    Training training(kAdamW, at::kFloat, &group);
    const auto live = meter.live();
    for (const int64_t step : {0, 4, 9, 15}) {
      training.freeze(step);
      EXPECT_EQ(meter.live(), live);
    }
  });
}

}  // namespace
}  // namespace codmoe::engine
