// Weights files of backbones.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "codmoe/backbone/backbone.h"
#include "codmoe/nn/weights.h"

namespace codmoe::backbone {

/// Loads a safetensors file in timm's names; the classifier's keys are ignored.
/// @throws core::Error where a key is missing, unexpected or mis-shaped, or the file is damaged; for a file of
///   torch.save (.pth, .pt) the message says how to convert it.
nn::LoadReport load_weights(Backbone& backbone, const std::filesystem::path& path);

/// Writes the backbone `name`: its tensors under timm's names, and metadata {"backbone": name, "format": "pt"}, by
/// which Python's readers know it. @throws core::Error where the file cannot be written.
void save_weights(const Backbone& backbone, const std::string& name, const std::filesystem::path& path);

/// Compares `input` with the backbone `name` and, where they fit, writes to `output` what the backbone uses, as
/// save_weights(). Nothing is written where the report isn't ok().
/// @throws core::UsageError for an unknown name, core::Error for a damaged file, as load_weights().
[[nodiscard]] nn::LoadReport import_weights(const std::filesystem::path& input, const std::string& name,
                                            const std::filesystem::path& output);

/// Names of the registered backbones that load_weights() would take these tensors for. Takes milliseconds: no
/// backbone's values are made.
std::vector<std::string> fitting_backbones(const core::TensorMap& tensors);

}  // namespace codmoe::backbone
