// The parts of codmoe-data that deal with weights.
#pragma once

#include <filesystem>
#include <string>

namespace codmoe::apps {

/// Whether `folder` is a run folder or a step folder.
bool is_checkpoint(const std::filesystem::path& folder);

/// Prints what a run or step folder holds: where training stood, its scores and main options, and its weights.
/// @throws core::Error where a file is missing or damaged.
void describe_checkpoint(const std::filesystem::path& folder);

/// Prints what a safetensors file holds. @throws core::Error where it is damaged or of another format.
void describe_weights(const std::filesystem::path& file);

/// Prints the report of keys, and writes `output` where the file fits the backbone.
/// @throws core::Error where it doesn't or is damaged, core::UsageError for an unknown name.
void import_weights(const std::filesystem::path& input, const std::string& backbone,
                    const std::filesystem::path& output);

/// Writes the backbone of a run (its best checkpoint) or step folder.
void export_backbone(const std::filesystem::path& checkpoint, const std::filesystem::path& output);

}  // namespace codmoe::apps
