// Whole files, written so that a reader never sees half of one.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace codmoe::core {

/// Writes beside `path`, syncs to disk, then renames over it. @throws Error naming the path and the system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);
/// The same for bytes that lie in several pieces.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces);

/// @throws Error naming the path where it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Syncs a folder's entries to disk, so that a rename in it survives a power cut.
/// @throws Error naming the folder and the system's reason.
void sync_folder(const std::filesystem::path& folder);

}  // namespace codmoe::core
