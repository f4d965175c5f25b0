#include <ATen/ATen.h>

#include <algorithm>

#include "strategies.h"

namespace codmoe::moe {

namespace {

/// An expert is run at its positions alone where they are at most this share of its images' positions. Measured in
/// float32 on one core of a CPU, 4 x 288 x 22 x 22, evaluation: at a third of the positions (top 2 of 6) gathering
/// takes 0.54 (hybrid), 0.59 (edge), 0.84 (texture), 0.90 (frequency) and 0.92 (contrast) of the time of the whole map
/// with masked weights; the first to lose is frequency, from a share of 0.6 on.
constexpr double kGatherShare = 0.6;

/// Who gets what: one read by the host and one copy back, for the whole batch.
struct Assignments {
  at::Tensor counts_be;            ///< as choice_counts(), on the device
  std::vector<at::Tensor> images;  ///< int64 [n_e] an expert, on the device
  std::vector<int64_t> choices;    ///< positions (or images) that chose an expert

  explicit Assignments(const Routing& routing) : counts_be(choice_counts(routing)) {
    const auto host = counts_be.cpu();
    const auto count = host.accessor<int64_t, 2>();
    std::vector<int64_t> all, sizes;
    for (int64_t e = 0; e < routing.experts(); ++e) {
      const auto before = all.size();
      choices.push_back(0);
      for (int64_t b = 0; b < routing.batch(); ++b) {
        choices.back() += count[b][e];
        if (count[b][e] > 0) all.push_back(b);
      }
      sizes.push_back(static_cast<int64_t>(all.size() - before));
    }
    images = at::tensor(all, at::kLong).to(counts_be.device(), /*non_blocking=*/true).split_with_sizes(sizes);
  }
};

/// Spatial routing's assignments an expert, without another read by the host. Positions are b * H * W + h * W + w.
struct Positions {
  std::vector<at::Tensor> within;   ///< int64 [P_e], b counting the expert's own images
  std::vector<at::Tensor> overall;  ///< int64 [P_e], b counting the batch's images
  std::vector<at::Tensor> weights;  ///< [P_e]

  Positions(const Routing& routing, const Assignments& assigned) {
    const int64_t area = routing.probs.size(2) * routing.probs.size(3);
    const auto expert_of_slot = routing.indices.flatten();
    const auto slots = expert_of_slot.argsort(/*stable=*/true, /*dim=*/0, /*descending=*/false);  // expert by expert
    const auto image = slots.div(routing.top_k() * area, "floor"), position = slots.remainder(area);
    const auto rank_be = (assigned.counts_be > 0).cumsum(0) - 1;  // of an image among the expert's own
    const auto pair = image * routing.experts() + expert_of_slot.index_select(0, slots);
    const auto rank = rank_be.flatten().index_select(0, pair);
    within = (rank * area + position).split_with_sizes(assigned.choices);
    overall = (image * area + position).split_with_sizes(assigned.choices);
    weights = routing.weights.flatten().index_select(0, slots).split_with_sizes(assigned.choices);
  }
};

/// The experts that are cheaper at their positions alone.
std::vector<bool> gathering(const Routing& routing, const Assignments& assigned, const ExpertPool& pool) {
  std::vector<bool> result(pool.size(), false);
  if (!routing.spatial()) return result;
  const auto area = static_cast<double>(routing.probs.size(2) * routing.probs.size(3));
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const double positions = area * static_cast<double>(assigned.images[e].numel());
    result[e] = pool[e]->saves_at_positions() && static_cast<double>(assigned.choices[e]) <= kGatherShare * positions;
  }
  return result;
}

}  // namespace

at::Tensor dispatch_batched(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const Assignments assigned(routing);
  const auto gathers = gathering(routing, assigned, pool);
  std::optional<Positions> positions;
  if (std::ranges::find(gathers, true) != gathers.end()) positions.emplace(routing, assigned);

  const auto type = x_bchw.scalar_type();
  const auto weights_behw = weight_maps(routing).to(type);
  auto out_bchw = at::zeros_like(x_bchw);
  auto out_cp =
      positions ? at::zeros({x_bchw.size(1), x_bchw.numel() / x_bchw.size(1)}, x_bchw.options()) : at::Tensor();
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const auto& images = assigned.images[e];
    if (images.numel() == 0) continue;
    const auto own_bchw = x_bchw.index_select(0, images);
    if (gathers[e]) {
      const auto result_cp = pool[e]->forward_at(own_bchw, positions->within[e]).to(type).view({x_bchw.size(1), -1});
      out_cp = out_cp.index_add(1, positions->overall[e], result_cp * positions->weights[e].to(type));
    } else {
      const auto weight = weights_behw.select(1, static_cast<int64_t>(e)).index_select(0, images).unsqueeze(1);
      out_bchw = out_bchw.index_add(0, images, pool[e]->forward(own_bchw).to(type) * weight);
    }
  }
  if (!positions) return out_bchw;
  return out_bchw + out_cp.view({-1, x_bchw.size(0), x_bchw.size(2), x_bchw.size(3)}).transpose(0, 1);
}

}  // namespace codmoe::moe
