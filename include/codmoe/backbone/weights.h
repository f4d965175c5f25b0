// Weights files of backbones.
#pragma once

#include <filesystem>
#include <string>

#include "codmoe/backbone/backbone.h"
#include "codmoe/nn/weights.h"

namespace codmoe::backbone {

/// Loads a safetensors file in timm's names; the classifier's keys are ignored.
/// @throws core::Error where a key is missing, unexpected or mis-shaped, or the file is damaged; for a file of
///   torch.save (.pth, .pt) the message says how to convert it.
nn::LoadReport load_weights(Backbone& backbone, const std::filesystem::path& path);

/// Checks `input` against the backbone `name`, then writes to `output` what the backbone uses, under timm's names.
/// @throws core::UsageError for an unknown name, core::Error as load_weights().
nn::LoadReport import_weights(const std::filesystem::path& input, const std::string& name,
                              const std::filesystem::path& output);

}  // namespace codmoe::backbone
