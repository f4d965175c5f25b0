// Random layers and images for properties of the dispatch.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "moe/layer_run.h"
#include "support/property.h"

namespace codmoe::moe {

/// How a tensor lies in memory; its values are the same for all, except `repeated`.
enum class Layout {
  contiguous,
  channels_last,
  sliced,      ///< every second column of a wider one, from an offset
  transposed,  ///< columns before rows
  repeated     ///< one image for the whole batch, expanded with stride 0
};
constexpr auto enum_names(Layout) {
  return core::names<Layout>({{"contiguous", Layout::contiguous},
                              {"channels_last", Layout::channels_last},
                              {"sliced", Layout::sliced},
                              {"transposed", Layout::transposed},
                              {"repeated", Layout::repeated}});
}
inline const std::vector<Layout> kLayouts = {Layout::contiguous, Layout::channels_last, Layout::sliced,
                                             Layout::transposed, Layout::repeated};

inline at::Tensor lay_out(const at::Tensor& x_bchw, Layout layout) {
  switch (layout) {
    case Layout::contiguous:
      return x_bchw.contiguous();
    case Layout::channels_last:
      return x_bchw.contiguous(at::MemoryFormat::ChannelsLast);
    case Layout::sliced:
      return at::zeros({x_bchw.size(0) + 1, x_bchw.size(1), x_bchw.size(2), 2 * x_bchw.size(3)}, x_bchw.options())
          .slice(0, 1)
          .slice(3, 1, {}, 2)
          .copy_(x_bchw);
    case Layout::transposed:
      return x_bchw.transpose(2, 3).contiguous().transpose(2, 3);
    case Layout::repeated:
      return x_bchw.narrow(0, 0, 1).expand_as(x_bchw);
  }
  throw std::logic_error("unknown layout");
}

struct LayerCase {
  int64_t batch = 1, dim = 4, height = 1, width = 1;
  MoeOptions options;
  bool training = true;
  bool one_route = false;  ///< all images to the same k experts, so that the others have none
  Layout input = Layout::contiguous, upstream = Layout::contiguous;
  uint64_t seed = 0;  ///< of weights and images

  /// In training, a spatial router's batch norm sees all images.
  bool images_meet_in_router() const {
    return training && options.norm == nn::NormKind::batch && options.routing == RoutingKind::spatial;
  }
  /// In training, an expert's batch norm sees one sample at a time under `sequential`: another function.
  bool sequential_is_another() const { return training && options.norm == nn::NormKind::batch; }

  SparseCODMoE layer() const {
    auto made = make_layer(dim, options, seed);
    made->train(training);
    const auto bias = 2 * test::randn({static_cast<int64_t>(options.experts.size())}, seed + 4);
    if (one_route) force_routes(made, {bias.const_data_ptr<double>(), bias.const_data_ptr<double>() + bias.numel()});
    return made;
  }
  at::Tensor images() const { return lay_out(spread_images({batch, dim, height, width}, seed + 1), input); }
  at::Tensor upstreams() const { return lay_out(test::randn({batch, dim, height, width}, seed + 3), upstream); }
};

inline std::ostream& operator<<(std::ostream& stream, const LayerCase& c) {
  return stream << fmt::format("[{}, {}, {}, {}] {} k {} of ({}), {} norm, {}, {}, input {}, upstream {}, seed {}",
                               c.batch, c.dim, c.height, c.width, core::name_of(c.options.routing), c.options.top_k,
                               fmt::join(c.options.experts, " "), core::name_of(c.options.norm),
                               c.training ? "training" : "evaluation", c.one_route ? "one route" : "spread",
                               core::name_of(c.input), core::name_of(c.upstream), c.seed);
}

inline LayerCase draw_layer(test::Random& random) {
  const auto& names = MoeOptions{}.experts;
  LayerCase c;
  c.batch = random.between(1, 9);
  c.dim = random.between(4, 14);
  c.height = random.one_in(4) ? 1 : random.between(2, 9);
  c.width = random.one_in(4) ? 1 : random.between(2, 9);
  c.options.experts.clear();
  for (auto count = random.between(1, 6); count > 0; --count) c.options.experts.push_back(random.pick(names));
  c.options.top_k = random.between(1, static_cast<int64_t>(c.options.experts.size()));
  c.options.norm = random.one_in(2) ? nn::NormKind::batch : kNorms[random.between(1, 2)];
  c.training = !random.one_in(4);
  c.one_route = random.one_in(4);
  c.input = random.one_in(2) ? Layout::contiguous : random.pick(kLayouts);
  c.upstream = random.one_in(2) ? Layout::contiguous : random.pick(kLayouts);
  c.options.routing = random.one_in(2) ? RoutingKind::global : RoutingKind::spatial;
  c.seed = 10 * static_cast<uint64_t>(random.between(1, 1000000));
  return c;
}

}  // namespace codmoe::moe
