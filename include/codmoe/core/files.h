// Whole files, written so that a reader never sees half of one.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace codmoe::core {

/// Whether a file has to survive a power cut that follows at once; making sure takes milliseconds.
enum class Durable { yes, no };

/// Writes beside `path`, syncs to disk where `durable`, then renames over it. @throws Error naming the path and the
/// system's reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes, Durable durable = Durable::yes);
/// The same for bytes that lie in several pieces.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::string_view> pieces,
                           Durable durable = Durable::yes);

/// Removes from `folder` what write_file_atomically() and others of a killed process left beside their targets: entries
/// whose names end in ".tmp-PROCESS". To be called where no other process writes there.
void remove_unfinished(const std::filesystem::path& folder);

/// @throws Error naming the path where it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Makes `folder` and those above it where they are missing. @throws Error naming it and the system's reason.
void make_folder(const std::filesystem::path& folder);

/// Syncs a folder's entries to disk, so that a rename in it survives a power cut.
/// @throws Error naming the folder and the system's reason.
void sync_folder(const std::filesystem::path& folder);

}  // namespace codmoe::core
