// What a trained run gives to other programs.
#pragma once

#include <filesystem>
#include <string>

namespace codmoe::engine {

/// Writes the backbone of a checkpoint to `output`, as backbone::save_weights(), so that codmoe and timm load it as
/// they load ImageNet weights; its averaged weights, where it has them. Returns the backbone's name.
/// @throws core::Error where a file is missing, damaged or doesn't fit the checkpoint's own configuration.
std::string export_backbone(const std::filesystem::path& step_folder, const std::filesystem::path& output);

}  // namespace codmoe::engine
