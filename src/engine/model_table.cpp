#include "codmoe/engine/model_table.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "codmoe/core/flop_counter.h"
#include "codmoe/engine/expert_load.h"
#include "codmoe/nn/weights.h"

namespace codmoe::engine {

namespace {

/// Operations of `run`.
template <class Run>
int64_t flops_of(const Run& run) {
  const core::FlopCounter counter;
  run();
  return counter.total();
}

std::vector<at::Tensor> add_backbone(backbone::Backbone& backbone, at::Tensor x, std::vector<ModelPart>& parts) {
  std::vector<at::Tensor> features;
  for (std::size_t i = 0; i < backbone::Backbone::strides.size(); ++i) {
    ModelPart part{.name = fmt::format("backbone stage {}", i + 1)};
    part.flops = flops_of([&] { x = backbone.stage(i, x); });
    part.output = x.sizes().vec();
    for (const auto& module : backbone.stage_modules(i)) part.parameters += nn::count_parameters(*module);
    parts.push_back(std::move(part));
    features.push_back(x);
  }
  return features;
}

/// One line the layer, one each expert. Returns what the layer gives.
at::Tensor add_layer(moe::SparseCODMoEImpl& layer, const report::ExpertLayer& names, const at::Tensor& x,
                     std::vector<ModelPart>& parts) {
  ModelPart whole{
      .name = names.name, .parameters = nn::count_parameters(layer), .flops = {}, .output = x.sizes().vec()};
  std::vector<ModelPart> experts;
  int64_t all_experts = 0;
  for (std::size_t e = 0; e < layer.pool().size(); ++e) {
    auto& expert = *layer.pool()[e];
    const auto flops = flops_of([&] { expert.forward(x); });
    experts.push_back({.name = "  " + names.experts[e],
                       .parameters = nn::count_parameters(expert),
                       .flops = flops,
                       .output = x.sizes().vec()});
    all_experts += flops;
  }
  const bool every = layer.options().routing == moe::RoutingKind::spatial;  // positions may choose all of them
  const auto count = static_cast<int64_t>(experts.size());
  whole.flops = flops_of([&] { layer.router()->forward(x); }) +
                (every ? all_experts : layer.options().top_k * all_experts / count);
  parts.push_back(std::move(whole));
  parts.insert(parts.end(), experts.begin(), experts.end());
  return layer.forward(x).y_bchw;
}

}  // namespace

std::vector<ModelPart> describe_parts(model::DetectorImpl& model, int64_t size) {
  const at::NoGradGuard no_grad;
  model.eval();
  std::vector<ModelPart> parts;
  const auto weight = model.parameters().front().options().requires_grad(false);
  auto features = add_backbone(model.backbone(), at::rand({1, 3, size, size}, weight), parts);
  const auto names = expert_layers(model);
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto& feature = features[model.moe_levels()[i]];
    feature = add_layer(*model.moe_layers()[i], names[i], feature, parts);
  }
  ModelPart decoder{.name = "decoder", .parameters = nn::count_parameters(*model.decoder())};
  decoder.flops = flops_of([&] { decoder.output = model.decoder()->forward(features).front().sizes().vec(); });
  parts.push_back(std::move(decoder));
  return parts;
}

std::string model_table(const std::vector<ModelPart>& parts, int64_t size) {
  std::string text = fmt::format("{:<22}{:>14}{:>12}  {}\n", "part", "parameters", "GFLOP", "output");
  int64_t parameters = 0, flops = 0;
  const auto line = [&](const std::string& name, int64_t count, int64_t operations, const std::string& output) {
    text += fmt::format("{:<22}{:>14}{:>12.3f}  {}\n", name, fmt::group_digits(count),
                        static_cast<double>(operations) / 1e9, output);
  };
  for (const auto& part : parts) {
    line(part.name, part.parameters, part.flops, fmt::format("{}", fmt::join(part.output, " x ")));
    if (part.name.starts_with(' ')) continue;  // within the layer above
    parameters += part.parameters;
    flops += part.flops;
  }
  line("all", parameters, flops, "");
  return text + fmt::format(
                    "GFLOP: one image of {0} x {0}, forward; convolutions, matrix products and attention, a "
                    "multiply-add as two. A layer: its router and top_k experts of average cost.\n",
                    size);
}

}  // namespace codmoe::engine
