#include "jpeg_end.h"

#include <cstdint>

namespace codmoe::data {
namespace {

constexpr uint8_t kEndOfImage = 0xD9;

/// Markers without a length field: TEM, RST0-7, SOI.
bool stands_alone(uint8_t marker) { return marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8); }

/// First position at or after `at` that holds 0xFF and a marker byte; inside a scan FF00 is data.
std::size_t next_marker(std::string_view bytes, std::size_t at) {
  for (; at + 1 < bytes.size(); ++at) {
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (static_cast<uint8_t>(bytes[at]) == 0xFF && marker != 0x00 && marker != 0xFF) return at;
  }
  return bytes.size();
}

}  // namespace

bool jpeg_is_whole(std::string_view bytes) {
  if (!bytes.starts_with("\xFF\xD8\xFF")) return true;
  std::size_t at = 2;
  while ((at = next_marker(bytes, at)) < bytes.size()) {
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (marker == kEndOfImage) return true;
    if (stands_alone(marker)) {
      at += 2;
      continue;
    }
    if (at + 3 >= bytes.size()) return false;
    const auto high = static_cast<uint8_t>(bytes[at + 2]);
    const auto low = static_cast<uint8_t>(bytes[at + 3]);
    at += 2 + std::size_t{high} * 256 + low;  // the scan's coded data, if any, follows and holds no marker but RSTn
  }
  return false;
}

}  // namespace codmoe::data
