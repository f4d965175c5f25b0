#include "codmoe/engine/export.h"

#include "codmoe/backbone/registry.h"
#include "codmoe/backbone/weights.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine {

std::string export_backbone(const std::filesystem::path& step_folder, const std::filesystem::path& output) {
  constexpr std::string_view prefix = "backbone.";
  TrainOptions options;
  core::read_options(read_state(step_folder).config, {{"", {(step_folder / "state.json").string(), {}}}}, options);
  const auto& name = options.model.backbone.name;
  const auto backbone = backbone::make_backbone({.name = name});
  const auto file = step_weights(step_folder);
  core::TensorMap tensors;
  for (const auto& [key, tensor] : core::load_safetensors(file).tensors) {
    if (key.starts_with(prefix)) tensors[key.substr(prefix.size())] = tensor;
  }
  nn::load_state(*backbone, tensors, {.source = file.string()});
  backbone::save_weights(*backbone, name, output);
  return name;
}

}  // namespace codmoe::engine
