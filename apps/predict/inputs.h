// The images that a command line means.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace codmoe::apps {

/// Files as they are named, images of folders, and what patterns (*, ?, [a-z]) match, folders among it opened too; each
/// in the order of names. Files are not opened.
/// @throws core::UsageError for what isn't there, and where there is no image at all.
std::vector<std::filesystem::path> input_files(const std::vector<std::string>& inputs);

}  // namespace codmoe::apps
