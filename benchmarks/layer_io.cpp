#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "benchmarks/layer_setup.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

void save_layer_io(const std::filesystem::path& file, const LayerOptions& options, const c10::Device& device) {
  const at::NoGradGuard no_grad;
  LayerSetup setup(options, options.dtype.front(), device);
  auto& layer = setup.layer();
  layer->eval();
  layer->set_dispatch(options.dispatch.front());
  use_gate(layer, setup.gates().front());
  const auto input = setup.images(std::ranges::max(options.batch));
  const auto result = layer->forward(input);

  auto tensors = nn::state_dict(*layer);
  tensors["input"] = input;
  tensors["output"] = result.y_bchw;
  tensors["topk_indices"] = result.routing.indices;
  tensors["topk_weights"] = result.routing.weights;
  core::save_safetensors(file, tensors,
                         {{"dispatch", std::string(core::name_of(options.dispatch.front()))},
                          {"dtype", std::string(core::name_of(options.dtype.front()))},
                          {"mode", "evaluation"},
                          {"routing", std::string(core::name_of(options.moe.routing))},
                          {"norm", std::string(core::name_of(options.moe.norm))},
                          {"top_k", std::to_string(options.moe.top_k)},
                          {"experts", fmt::format("{}", fmt::join(options.moe.experts, ","))}});
}

}  // namespace codmoe::bench
