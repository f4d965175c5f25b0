// One training step of a SparseCODMoE layer and everything that comes of it, for comparing dispatches and devices.
#pragma once

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ostream>

#include "codmoe/moe/sparse_codmoe.h"
#include "codmoe/nn/weights.h"
#include "support/tensors.h"

// GoogleTest prints parameters so.
namespace codmoe::nn {
inline void PrintTo(NormKind kind, std::ostream* stream) { *stream << core::name_of(kind); }
}  // namespace codmoe::nn

namespace codmoe::moe {

inline void PrintTo(Dispatch dispatch, std::ostream* stream) { *stream << core::name_of(dispatch); }
inline void PrintTo(RoutingKind routing, std::ostream* stream) { *stream << core::name_of(routing); }

struct LayerRun {
  at::Tensor y;
  Routing routing;
  core::TensorMap gradients;  ///< of every parameter, zeros where there is none, and "input"
  core::TensorMap buffers;    ///< after the forward
};

/// Runs `layer` forward and backward under `strategy`, on its device; its running statistics are put back afterwards.
inline LayerRun run_layer(SparseCODMoE& layer, Dispatch strategy, const at::Tensor& x_bchw,
                          const at::Tensor& upstream_bchw) {
  core::TensorMap before;
  for (const auto& [name, tensor] : nn::state_dict(*layer)) before[name] = tensor.clone();
  layer->zero_grad();
  layer->set_dispatch(strategy);
  const auto x = x_bchw.detach().requires_grad_();  // keeps the strides
  const auto output = layer->forward(x);
  output.y_bchw.backward(upstream_bchw);
  LayerRun run{output.y_bchw.detach(), output.routing, test::gradients(*layer), test::buffers(*layer)};
  run.gradients["input"] = x.grad();
  nn::load_state(*layer, before);
  return run;
}

inline void expect_same(const LayerRun& actual, const LayerRun& expected, double tolerance) {
  EXPECT_TRUE(actual.routing.indices.cpu().equal(expected.routing.indices.cpu()));
  EXPECT_TRUE(test::is_near(actual.routing.weights, expected.routing.weights, tolerance));
  EXPECT_TRUE(test::is_near(actual.y, expected.y, tolerance));
  EXPECT_TRUE(test::are_near(actual.gradients, expected.gradients, tolerance));
  EXPECT_TRUE(test::are_near(actual.buffers, expected.buffers, tolerance));
}

/// A layer with random weights, in float64 on the CPU, whose gate spreads images over the experts.
inline SparseCODMoE make_layer(int64_t dim, const MoeOptions& options, uint64_t seed) {
  SparseCODMoE layer(dim, options);
  layer->to(at::kDouble);
  test::randomize(*layer, seed);
  const at::NoGradGuard no_grad;
  layer->named_parameters()["router.gate.weight"].mul_(3);
  return layer;
}

/// Sends every image to the experts of highest `bias`, whatever it shows.
inline void force_routes(SparseCODMoE& layer, const std::vector<double>& bias) {
  const at::NoGradGuard no_grad;
  layer->named_parameters()["router.gate.weight"].zero_();
  layer->named_parameters()["router.gate.bias"].copy_(at::tensor(bias, at::kDouble));
}

/// Autocast to bfloat16 on one kind of device while it lives.
class Bfloat16Autocast {
 public:
  explicit Bfloat16Autocast(c10::DeviceType device) : device_(device) {
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::set_autocast_dtype(device_, at::kBFloat16);
  }
  ~Bfloat16Autocast() {
    at::autocast::set_autocast_enabled(device_, false);
    at::autocast::clear_cache();
  }
  Bfloat16Autocast(const Bfloat16Autocast&) = delete;
  Bfloat16Autocast& operator=(const Bfloat16Autocast&) = delete;

 private:
  c10::DeviceType device_;
};

/// Images that differ in their means, so that they get different experts; float32 values, held in float64.
inline at::Tensor spread_images(at::IntArrayRef shape, uint64_t seed) {
  return (test::randn(shape, seed) + test::randn({shape[0], shape[1], 1, 1}, seed + 1)).to(at::kFloat).to(at::kDouble);
}

constexpr nn::NormKind kNorms[] = {nn::NormKind::batch, nn::NormKind::group, nn::NormKind::layer};

using StrategyAndRouting = std::tuple<Dispatch, RoutingKind>;
inline const auto kStrategiesAndRoutings =
    testing::Combine(testing::Values(Dispatch::sequential, Dispatch::batched, Dispatch::dense),
                     testing::Values(RoutingKind::global, RoutingKind::spatial));
inline std::string case_name(const testing::TestParamInfo<StrategyAndRouting>& which) {
  const auto& [strategy, routing] = which.param;
  return fmt::format("{}_{}", core::name_of(strategy), core::name_of(routing));
}

/// The deviations of a float32 layer on `device` from the same layer in float64 on the CPU.
struct Deviations {
  double output = 0, gradient = 0, statistics = 0;
  bool same_routes = false;
};

inline Deviations compare_with_float64(const c10::Device& device, Dispatch strategy, nn::NormKind norm, bool training,
                                       bool autocast, RoutingKind routing = RoutingKind::global) {
  auto exact = make_layer(24, {.routing = routing, .norm = norm}, 11);
  exact->to(at::kFloat);  // both layers hold the same float32 values
  SparseCODMoE layer(24, MoeOptions{.routing = routing, .norm = norm});
  nn::load_state(*layer, nn::state_dict(*exact));
  exact->to(at::kDouble);
  layer->to(device);
  exact->train(training);
  layer->train(training);

  const auto x = spread_images({12, 24, 10, 7}, 21);
  const auto upstream = spread_images({12, 24, 10, 7}, 23);
  // One sample at a time is another function in training.
  const auto reference = training && strategy == Dispatch::sequential ? strategy : Dispatch::batched;
  const auto expected = run_layer(exact, reference, x, upstream);
  const auto on_device = [&](const at::Tensor& tensor) { return tensor.to(device, at::kFloat); };
  const auto actual = [&] {
    std::optional<Bfloat16Autocast> guard;
    if (autocast) guard.emplace(device.type());
    return run_layer(layer, strategy, on_device(x), on_device(upstream));
  }();

  Deviations found{.output = test::deviation(actual.y, expected.y)};
  EXPECT_EQ(actual.y.scalar_type(), at::kFloat);
  EXPECT_TRUE(actual.y.device().type() == device.type());
  found.same_routes = actual.routing.indices.cpu().equal(expected.routing.indices);
  found.gradient = test::worst_deviation(actual.gradients, expected.gradients);
  found.statistics = test::worst_deviation(actual.buffers, expected.buffers);
  return found;
}

/// The same for every norm, in training and evaluation.
inline void expect_near_float64(const c10::Device& device, const StrategyAndRouting& which, bool autocast,
                                const Deviations& limits) {
  const auto& [strategy, routing] = which;
  for (const auto norm : kNorms) {
    for (const bool training : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", core::name_of(norm), training ? "training" : "evaluation"));
      const auto found = compare_with_float64(device, strategy, norm, training, autocast, routing);
      EXPECT_TRUE(found.same_routes);  // the router is float32 under autocast too
      EXPECT_LE(found.output, limits.output);
      EXPECT_LE(found.gradient, limits.gradient);
      EXPECT_LE(found.statistics, limits.statistics);
    }
  }
}

}  // namespace codmoe::moe
