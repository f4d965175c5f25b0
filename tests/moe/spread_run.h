// Layers whose experts are spread over ranks, beside the same layers on one.
#pragma once

#include <fmt/ranges.h>

#include <numeric>

#include "codmoe/dist/gradient_buckets.h"
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

inline SpreadRun run_of(const SpreadModel& model, const at::Tensor& x, const at::Tensor& y) {
  return {y.detach(), x.grad(), test::gradients(model), test::buffers(model)};
}

inline SpreadRun run_model(SpreadModel& model, const at::Tensor& images, const at::Tensor& upstream) {
  const auto x = images.detach().clone().requires_grad_();
  const auto y = model.forward(x);
  y.backward(upstream);
  return run_of(model, x, y);
}

/// As a training step does it: gradients of parameters that every rank has are summed beside the backward pass, each by
/// itself, so that many collectives of two kinds meet.
inline void backward_on_ranks(const SpreadModel& model, dist::Group& group, const at::Tensor& y,
                              const at::Tensor& upstream = {}) {
  const auto owners = expert_owners(model);
  std::vector<at::Tensor> replicated;
  for (const auto& item : model.named_parameters()) {
    if (!owners.contains(item.key())) replicated.push_back(item.value());
  }
  dist::GradientBuckets buckets(group, replicated, /*bytes=*/1);
  buckets.start();
  y.backward(upstream);
  buckets.finish();
}

inline SpreadRun run_rank(SpreadModel& model, const SpreadCase& c, dist::Group& group, const at::Tensor& images,
                          const at::Tensor& upstream) {
  const auto x = c.part(images, group.rank()).clone().requires_grad_();
  const auto y = model.forward(x);
  backward_on_ranks(model, group, y, c.part(upstream, group.rank()));
  gather_experts(model, group);
  auto run = run_of(model, x, y);
  dist::fill_from_owners(run.gradients, expert_owners(model), group);
  return run;
}

}  // namespace codmoe::moe
