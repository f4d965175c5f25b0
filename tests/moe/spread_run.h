// Layers whose experts are spread over ranks, beside the same layers on one.
#pragma once

#include <fmt/ranges.h>

#include <numeric>

#include "codmoe/moe/expert_parallel.h"
#include "moe/layer_run.h"
#include "support/ranks.h"

namespace codmoe::moe {

/// How the layers of a model hang together: one's order in the backward pass isn't another's.
enum class Wiring { single, sequence, side_by_side };

/// A batch and how the ranks share it.
struct SpreadCase {
  std::vector<int64_t> parts;  ///< images of each rank
  MoeOptions options = {};
  Wiring wiring = Wiring::single;
  bool training = true;
  std::vector<double> bias = {};  ///< sends all images to the experts of highest bias; none: as images differ

  int64_t ranks() const { return std::ssize(parts); }
  int64_t batch() const { return std::accumulate(parts.begin(), parts.end(), int64_t{0}); }
  int64_t first(int64_t rank) const { return std::accumulate(parts.begin(), parts.begin() + rank, int64_t{0}); }
  /// A rank's part of what is of the whole batch.
  at::Tensor part(const at::Tensor& whole, int64_t rank) const {
    return whole.narrow(0, first(rank), parts[static_cast<std::size_t>(rank)]);
  }
};

inline void PrintTo(const SpreadCase& c, std::ostream* stream) {
  *stream << fmt::format("parts [{}], {}, top {}, {} norm, wiring {}, {}, bias [{}]", fmt::join(c.parts, " "),
                         core::name_of(c.options.routing), c.options.top_k, core::name_of(c.options.norm),
                         static_cast<int>(c.wiring), c.training ? "training" : "evaluation", fmt::join(c.bias, " "));
}

constexpr int64_t kSpreadDim = 6, kSpreadSize = 5;

class SpreadModel : public torch::nn::Module {
 public:
  explicit SpreadModel(const SpreadCase& c, uint64_t seed = 10) : wiring_(c.wiring) {
    for (int i = 0; i < (wiring_ == Wiring::single ? 1 : 2); ++i) {
      auto layer = make_layer(kSpreadDim, c.options, seed + 100 * static_cast<uint64_t>(i));
      if (!c.bias.empty()) force_routes(layer, c.bias);
      layer->set_dispatch(Dispatch::batched);
      layers.push_back(register_module(fmt::format("moe{}", i), layer));
    }
    train(c.training);
  }

  at::Tensor forward(const at::Tensor& x) {
    const auto y = layers[0]->forward(x).y_bchw;
    if (wiring_ == Wiring::sequence) return layers[1]->forward(y).y_bchw;
    return wiring_ == Wiring::single ? y : y + layers[1]->forward(x.flip({3})).y_bchw;
  }

  void spread(dist::Group& group) {
    for (auto& layer : layers) layer->spread(group);
  }

  std::vector<SparseCODMoE> layers;

 private:
  Wiring wiring_;
};

inline at::Tensor spread_batch(const SpreadCase& c, uint64_t seed = 1) {
  return spread_images({c.batch(), kSpreadDim, kSpreadSize, kSpreadSize}, seed);
}

/// What a forward and backward pass leaves. Of ranks: summed and gathered, as one would have it; y and the gradient of
/// the images are the rank's.
struct SpreadRun {
  at::Tensor y, input_gradient;
  core::TensorMap gradients, buffers;
};

inline SpreadRun run_model(SpreadModel& model, const at::Tensor& images, const at::Tensor& upstream) {
  const auto x = images.detach().clone().requires_grad_();
  const auto y = model.forward(x);
  y.backward(upstream);
  return {y.detach(), x.grad(), test::gradients(model), test::buffers(model)};
}

/// What a training step does with gradients: sums those of parameters that every rank has.
inline void sum_replicated(const SpreadModel& model, dist::Group& group) {
  const auto owners = expert_owners(model);
  for (const auto& item : model.named_parameters()) {
    if (owners.contains(item.key())) continue;
    auto& gradient = item.value().mutable_grad();
    if (!gradient.defined()) gradient = at::zeros_like(item.value().detach());
    group.sum(gradient);
  }
}

inline SpreadRun run_rank(SpreadModel& model, const SpreadCase& c, dist::Group& group, const at::Tensor& images,
                          const at::Tensor& upstream) {
  auto run = run_model(model, c.part(images, group.rank()), c.part(upstream, group.rank()));
  sum_replicated(model, group);
  run.gradients = test::gradients(model);
  dist::fill_from_owners(run.gradients, expert_owners(model), group);
  gather_experts(model, group);
  run.buffers = test::buffers(model);
  return run;
}

}  // namespace codmoe::moe
