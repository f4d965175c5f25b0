// The parts of codmoe-data that deal with packed sets.
#pragma once

#include <cstdint>
#include <filesystem>

#include "codmoe/data/dataset.h"

namespace codmoe::apps {

/// Packs a dataset for batches of `size` pixels (0: nothing is reduced) and says how large it became.
void pack(const data::DatasetOptions& options, int64_t size, const std::filesystem::path& output);

/// Prints what a packed set holds, after comparing every sample with its checksum.
/// @throws core::Error naming the first that is damaged.
void describe_pack(const std::filesystem::path& file);

}  // namespace codmoe::apps
