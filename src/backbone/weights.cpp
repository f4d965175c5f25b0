#include "codmoe/backbone/weights.h"

#include <c10/core/impl/LocalDispatchKeySet.h>

#include "codmoe/backbone/registry.h"
#include "codmoe/core/safetensors.h"

namespace codmoe::backbone {

namespace {

/// While it lives, this thread's new tensors have shapes but no memory, and no random number is drawn for them: sends
/// every operation to the kernels of the meta device, as PyTorch's FakeTensor does. LibTorch has no default device.
class ShapesAlone {
 public:
  ShapesAlone() {
    auto keys = before_;
    keys.included_ = keys.included_ | c10::DispatchKeySet(c10::DispatchKey::Meta);
    c10::impl::_force_tls_local_dispatch_key_set(keys);
  }
  ~ShapesAlone() { c10::impl::_force_tls_local_dispatch_key_set(before_); }
  ShapesAlone(const ShapesAlone&) = delete;
  ShapesAlone& operator=(const ShapesAlone&) = delete;

 private:
  c10::impl::LocalDispatchKeySet before_ = c10::impl::tls_local_dispatch_key_set();
};

nn::LoadPolicy policy_of(const Backbone& backbone, const std::string& source) {
  return {.ignored_prefixes = backbone.head_prefixes(), .source = source};
}

}  // namespace

nn::LoadReport load_weights(Backbone& backbone, const std::filesystem::path& path) {
  const auto file = core::load_safetensors(path);
  return nn::load_state(backbone, file.tensors, policy_of(backbone, path.string()));
}

void save_weights(const Backbone& backbone, const std::string& name, const std::filesystem::path& path) {
  core::save_safetensors(path, nn::state_dict(backbone), {{"backbone", name}, {"format", "pt"}});
}

nn::LoadReport import_weights(const std::filesystem::path& input, const std::string& name,
                              const std::filesystem::path& output) {
  const auto backbone = make_backbone({.name = name});
  const auto file = core::load_safetensors(input);
  const auto policy = policy_of(*backbone, input.string());
  auto report = nn::compare_state(*backbone, file.tensors, policy);
  if (report.ok()) {
    nn::load_state(*backbone, file.tensors, policy);
    save_weights(*backbone, name, output);
  }
  return report;
}

std::vector<std::string> fitting_backbones(const core::TensorMap& tensors) {
  const ShapesAlone shapes_alone;
  std::vector<std::string> names;
  for (const auto& name : backbone_names()) {
    const auto backbone = make_backbone({.name = name});
    if (nn::compare_state(*backbone, tensors, policy_of(*backbone, name)).ok()) names.push_back(name);
  }
  return names;
}

}  // namespace codmoe::backbone
