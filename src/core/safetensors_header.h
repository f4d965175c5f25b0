// The JSON header of a safetensors file, checked on its own: no tensor memory is touched here.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace codmoe::core {

struct TensorEntry {
  std::string name;
  c10::ScalarType dtype = c10::ScalarType::Float;
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< first byte, counted from the end of the header
  uint64_t end = 0;    ///< one past the last byte
};

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  ///< in the order of their bytes
  std::map<std::string, std::string> metadata;
};

/// Length a header may have: some 100,000 tensors. The reference implementation allows ten times as much, which a
/// hostile file could blow up to gigabytes of parsed JSON.
inline constexpr uint64_t max_header_bytes = 10'000'000;

/// The name as it may stand in a one-line message: quoted, control characters and long tails replaced.
std::string printable(std::string_view name);

/// Reads and checks the header of `path`, whose tensor bytes number `data_bytes`.
/// @throws Error where the entries don't cover exactly these bytes, once each.
SafetensorsHeader parse_safetensors_header(const std::filesystem::path& path, std::string_view json,
                                           uint64_t data_bytes);

/// The header as JSON, padded with spaces so that the tensor bytes start at a multiple of 8.
std::string format_safetensors_header(const std::filesystem::path& path, const SafetensorsHeader& header);

/// Sets every entry's byte range: largest element first, so that each tensor is aligned to its element, then by name.
void lay_out(std::vector<TensorEntry>& entries);

}  // namespace codmoe::core
