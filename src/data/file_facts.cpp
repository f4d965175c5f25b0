#include "file_facts.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace codmoe::data {
namespace {

using namespace std::string_view_literals;

/// Unsigned number of `size` bytes; 0 behind the end.
uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t size, bool big_endian = true) {
  if (at + size > bytes.size()) return 0;
  uint32_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value = value << 8 | static_cast<uint8_t>(bytes[at + (big_endian ? i : size - 1 - i)]);
  }
  return value;
}

/// From a TIFF header and its first directory of 12-byte entries: tag (2), type (2), count (4), value (4).
int orientation_of(std::string_view tiff) {
  constexpr uint32_t kOrientation = 0x0112;
  const bool big_endian = tiff.starts_with("MM");
  const auto number = [&](std::size_t at, std::size_t size) { return number_at(tiff, at, size, big_endian); };
  const std::size_t directory = number(4, 4);
  const std::size_t entries = number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + 12 * i;
    if (number(entry, 2) != kOrientation) continue;
    const auto value = static_cast<int>(number(entry + 8, 2));
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

bool is_frame_header(uint32_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

/// Segments up to the first scan: marker (2), length (2, with itself), content.
void read_jpeg(std::string_view bytes, FileFacts& facts) {
  constexpr uint32_t kApp1 = 0xE1, kStartOfScan = 0xDA;
  for (std::size_t at = 2; at + 4 <= bytes.size();) {
    const uint32_t marker = number_at(bytes, at + 1, 1);
    if (number_at(bytes, at, 1) != 0xFF || marker == kStartOfScan) return;
    if (marker == 0xFF) {  // fill byte
      ++at;
      continue;
    }
    const std::size_t length = number_at(bytes, at + 2, 2);
    const std::string_view content = bytes.substr(at + 4, std::max<std::size_t>(length, 2) - 2);
    if (marker == kApp1 && content.starts_with("Exif\0\0"sv)) facts.orientation = orientation_of(content.substr(6));
    if (is_frame_header(marker)) {
      facts.bits = static_cast<int>(number_at(content, 0, 1));
      facts.channels = static_cast<int>(number_at(content, 5, 1));
    }
    at += 2 + std::max<std::size_t>(length, 2);
  }
}

/// Chunks up to the pixels: length (4), type (4), content, checksum (4). IHDR is the first.
void read_png(std::string_view bytes, FileFacts& facts) {
  constexpr std::array kChannels{1, 0, 3, 1, 2, 0, 4};
  const uint32_t colour = number_at(bytes, 25, 1);
  facts.bits = static_cast<int>(number_at(bytes, 24, 1));
  facts.channels = colour < kChannels.size() ? kChannels[colour] : 0;
  facts.palette = colour == 3;
  facts.alpha = colour == 4 || colour == 6;
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t length = number_at(bytes, at, 4);
    const std::string_view type = bytes.substr(at + 4, 4);
    if (type == "tRNS") facts.alpha = true;
    if (type == "eXIf") facts.orientation = orientation_of(bytes.substr(at + 8, length));
    at += 12 + length;
  }
}

FileFormat format_of(std::string_view bytes) {
  if (bytes.starts_with("\xFF\xD8\xFF")) return FileFormat::jpeg;
  if (bytes.starts_with("\x89PNG\r\n\x1A\n")) return FileFormat::png;
  if (bytes.starts_with("BM")) return FileFormat::bmp;
  if (bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP") return FileFormat::webp;
  if (bytes.starts_with("II*\0"sv) || bytes.starts_with("MM\0*"sv)) return FileFormat::tiff;
  return FileFormat::unknown;
}

}  // namespace

FileFacts facts_of(std::string_view bytes) {
  FileFacts facts{.format = bytes.size() < 12 ? FileFormat::unknown : format_of(bytes)};
  if (facts.format == FileFormat::jpeg) read_jpeg(bytes, facts);
  if (facts.format == FileFormat::png) read_png(bytes, facts);
  return facts;
}

FileFormat format_of_extension(std::string_view extension) {
  constexpr std::array<std::pair<std::string_view, FileFormat>, 7> kFormats{{{".jpg", FileFormat::jpeg},
                                                                             {".jpeg", FileFormat::jpeg},
                                                                             {".png", FileFormat::png},
                                                                             {".bmp", FileFormat::bmp},
                                                                             {".webp", FileFormat::webp},
                                                                             {".tif", FileFormat::tiff},
                                                                             {".tiff", FileFormat::tiff}}};
  std::string lower(extension);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  for (const auto& [name, format] : kFormats) {
    if (name == lower) return format;
  }
  return FileFormat::unknown;
}

}  // namespace codmoe::data
