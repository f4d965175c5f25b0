#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "benchmarks/model.h"
#include "codmoe/core/error.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

at::Tensor load_images(const std::filesystem::path& file) {
  const auto tensors = core::load_safetensors(file).tensors;
  const auto found = tensors.find("input");
  if (found == tensors.end()) throw core::Error(fmt::format("{}: has no tensor 'input'", file.string()));
  const auto& images = found->second;
  if (images.dim() != 4 || images.size(1) != 3 || !images.is_floating_point()) {
    throw core::Error(fmt::format("{}: 'input' must be [B, 3, H, W] of floating-point numbers; it is [{}] of {}",
                                  file.string(), fmt::join(images.sizes(), ", "), c10::toString(images.scalar_type())));
  }
  return images.scalar_type() == at::kDouble ? images : images.to(at::kFloat);
}

at::Tensor io_images(const std::filesystem::path& input, const ModelOptions& options) {
  if (!input.empty()) return load_images(input);
  const auto& size = options.size.front();
  return draw_images(options.seed, {options.batch.front(), 3, size[0], size[1]}, at::kFloat, c10::kCPU);
}

core::TensorMap copies(const core::TensorMap& tensors) {
  core::TensorMap result;
  for (const auto& [name, tensor] : tensors) result[name] = tensor.clone();
  return result;
}

void add_gradients(core::TensorMap& tensors, const torch::nn::Module& module) {
  for (const auto& item : module.named_parameters()) {
    if (item.value().grad().defined()) tensors["grad." + item.key()] = item.value().grad();
  }
}

}  // namespace

void save_model_io(const std::filesystem::path& file, const std::filesystem::path& input, const ModelOptions& options,
                   const c10::Device& device) {
  const c10::DeviceGuard guard(device);
  const auto precision = options.dtype.front();
  require_support(precision, device);
  const PrecisionScope scope(precision);
  const auto images = io_images(input, options).to(device);
  ModelSetup setup(options, options.backbone.front(), precision, images.scalar_type(), device);
  core::TensorMap tensors;
  if (options.weights.empty()) tensors = copies(nn::state_dict(setup.backbone()));
  tensors["input"] = images;

  const bool train = options.pass.front() == Pass::train;
  const bool batch_norms = train && !options.frozen_norm;
  const at::AutoGradMode gradients(train);
  setup.backbone().train(batch_norms);
  const auto features = setup.forward()(setup.lay_out(images));
  for (std::size_t i = 0; i < features.size(); ++i) tensors[fmt::format("features.{}", i)] = features[i].detach();
  if (train) {
    mean_squares(features).backward();
    add_gradients(tensors, setup.backbone());
  }
  core::save_safetensors(
      file, tensors,
      {{"backbone", options.backbone.front()},
       {"dtype", images.scalar_type() == at::kDouble ? "float64" : std::string(core::name_of(precision))},
       {"pass", std::string(core::name_of(options.pass.front()))},
       {"norms", batch_norms ? "batch" : "running"}});
}

}  // namespace codmoe::bench
