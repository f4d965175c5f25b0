#include "codmoe/backbone/registry.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

#include "codmoe/backbone/convnext.h"
#include "codmoe/backbone/edgenext.h"
#include "codmoe/backbone/efficientnet_lite.h"
#include "codmoe/backbone/pvt_v2.h"
#include "codmoe/backbone/resnet.h"
#include "codmoe/backbone/swin.h"
#include "codmoe/backbone/tiny.h"
#include "codmoe/backbone/weights.h"
#include "codmoe/core/error.h"
#include "codmoe/core/options.h"

namespace codmoe::backbone {

namespace {

using Factory = std::function<std::shared_ptr<Backbone>()>;

template <class Module, class Options>
Factory make(const Options& options) {
  return [options] { return std::make_shared<Module>(options); };
}

const std::vector<std::pair<std::string, Factory>>& registry() {
  using Lite = EfficientNetLiteOptions;
  using Pvt = PvtV2Options;
  using Edge = EdgeNeXtOptions;
  static const std::vector<std::pair<std::string, Factory>> entries{
      {"tf_efficientnet_lite0", make<EfficientNetLite>(Lite{.width = 1.0, .depth = 1.0})},
      {"tf_efficientnet_lite1", make<EfficientNetLite>(Lite{.width = 1.0, .depth = 1.1})},
      {"tf_efficientnet_lite2", make<EfficientNetLite>(Lite{.width = 1.1, .depth = 1.2})},
      {"tf_efficientnet_lite3", make<EfficientNetLite>(Lite{.width = 1.2, .depth = 1.4})},
      {"tf_efficientnet_lite4", make<EfficientNetLite>(Lite{.width = 1.4, .depth = 1.8})},
      {"resnet18", make<ResNet>(ResNetOptions{.block = ResNetBlock::basic, .depths = {2, 2, 2, 2}})},
      {"resnet34", make<ResNet>(ResNetOptions{.block = ResNetBlock::basic, .depths = {3, 4, 6, 3}})},
      {"resnet50", make<ResNet>(ResNetOptions{.block = ResNetBlock::bottleneck, .depths = {3, 4, 6, 3}})},
      {"res2net50_26w_4s", make<ResNet>(ResNetOptions{.block = ResNetBlock::res2net, .depths = {3, 4, 6, 3}})},
      {"pvt_v2_b0", make<PvtV2>(Pvt{.depths = {2, 2, 2, 2}, .channels = {32, 64, 160, 256}})},
      {"pvt_v2_b1", make<PvtV2>(Pvt{.depths = {2, 2, 2, 2}})},
      {"pvt_v2_b2", make<PvtV2>(Pvt{.depths = {3, 4, 6, 3}})},
      {"pvt_v2_b3", make<PvtV2>(Pvt{.depths = {3, 4, 18, 3}})},
      {"pvt_v2_b4", make<PvtV2>(Pvt{.depths = {3, 8, 27, 3}})},
      {"pvt_v2_b5", make<PvtV2>(Pvt{.depths = {3, 6, 40, 3}, .expansions = {4, 4, 4, 4}})},
      {"pvt_v2_b2_li", make<PvtV2>(Pvt{.depths = {3, 4, 6, 3}, .linear_attention = true})},
      {"edgenext_xx_small", make<EdgeNeXt>(Edge{.depths = {2, 2, 6, 2}, .channels = {24, 48, 88, 168}, .heads = 4})},
      {"edgenext_x_small", make<EdgeNeXt>(Edge{.channels = {32, 64, 100, 192}, .heads = 4})},
      {"edgenext_small", make<EdgeNeXt>(Edge{})},
      {"edgenext_base", make<EdgeNeXt>(Edge{.channels = {80, 160, 288, 584}})},
      {"convnext_tiny", make<ConvNeXt>(ConvNeXtOptions{})},
      {"swin_tiny_patch4_window7_224", make<Swin>(SwinOptions{})},
      {"tiny", make<Tiny>(TinyOptions{})},
  };
  return entries;
}

const Factory* find(const std::string& name) {
  for (const auto& [known, factory] : registry()) {
    if (known == name) return &factory;
  }
  return nullptr;
}

std::string unknown(const std::string& name) {
  std::string allowed;
  for (const auto& known : backbone_names()) allowed += (allowed.empty() ? "" : ", ") + known;
  return fmt::format("must be one of {}; it is '{}'", allowed, name);
}

}  // namespace

void BackboneOptions::check() const {
  if (find(name) == nullptr) throw core::BadOption("name", unknown(name));
  check_strides("checkpoint", checkpoint);
}

std::vector<std::string> backbone_names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : registry()) names.push_back(name);
  return names;
}

std::shared_ptr<Backbone> make_backbone(const BackboneOptions& options) {
  const auto* factory = find(options.name);
  if (factory == nullptr) throw core::UsageError("the backbone " + unknown(options.name));
  auto backbone = (*factory)();
  if (!backbone->set_drop_path(options.drop_path) && options.drop_path > 0.0) {
    throw core::UsageError(fmt::format("backbone.drop_path must be 0 for {}, which has no stochastic depth; it is {}",
                                       options.name, options.drop_path));
  }
  if (options.frozen_norm && !backbone->has_batch_norm()) {
    throw core::UsageError(
        fmt::format("backbone.frozen_norm must be false for {}, which has no batch norm", options.name));
  }
  backbone->set_checkpoint(options.checkpoint);
  if (!options.weights.empty()) load_weights(*backbone, options.weights);
  return backbone;
}

}  // namespace codmoe::backbone
