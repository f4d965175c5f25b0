#include "codmoe/backbone/weights.h"

#include "codmoe/backbone/registry.h"
#include "codmoe/core/safetensors.h"

namespace codmoe::backbone {

nn::LoadReport load_weights(Backbone& backbone, const std::filesystem::path& path) {
  const auto file = core::load_safetensors(path);
  return nn::load_state(backbone, file.tensors,
                        {.ignored_prefixes = backbone.head_prefixes(), .source = path.string()});
}

nn::LoadReport import_weights(const std::filesystem::path& input, const std::string& name,
                              const std::filesystem::path& output) {
  const auto backbone = make_backbone({.name = name});
  auto report = load_weights(*backbone, input);
  // "format" is what Python's readers look for.
  core::save_safetensors(output, nn::state_dict(*backbone), {{"backbone", name}, {"format", "pt"}});
  return report;
}

}  // namespace codmoe::backbone
