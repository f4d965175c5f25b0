#include "whole_file.h"

#include <cstdint>

namespace codmoe::data {
namespace {

constexpr std::string_view kJpegSignature = "\xFF\xD8\xFF";
constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1A\n";
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

std::size_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<uint8_t>(bytes[at]); }

bool jpeg_is_whole(std::string_view bytes) {
  std::size_t at = 2;
  while ((at = next_marker(bytes, at)) < bytes.size()) {
    const auto marker = static_cast<uint8_t>(bytes[at + 1]);
    if (marker == kEndOfImage) return true;
    if (stands_alone(marker)) {
      at += 2;
      continue;
    }
    if (at + 3 >= bytes.size()) return false;
    at += 2 + byte_at(bytes, at + 2) * 256 + byte_at(bytes, at + 3);  // coded data may follow: no marker but RSTn in it
  }
  return false;
}

/// Walks the chunks: length (4 bytes), type (4), data, checksum (4).
bool png_is_whole(std::string_view bytes) {
  for (std::size_t at = kPngSignature.size(); at + 12 <= bytes.size();) {
    if (bytes.substr(at + 4, 4) == "IEND") return true;
    std::size_t length = 0;
    for (std::size_t i = 0; i < 4; ++i) length = length * 256 + byte_at(bytes, at + i);
    at += 12 + length;
  }
  return false;
}

}  // namespace

bool is_whole(std::string_view bytes) {
  if (bytes.starts_with(kJpegSignature)) return jpeg_is_whole(bytes);
  if (bytes.starts_with(kPngSignature)) return png_is_whole(bytes);
  return true;
}

}  // namespace codmoe::data
