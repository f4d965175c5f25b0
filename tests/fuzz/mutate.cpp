#include "fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

namespace codmoe::fuzz {

namespace {

uint64_t below(std::mt19937_64& random, std::size_t n) { return n == 0 ? 0 : random() % n; }

/// Numbers at which arithmetic goes wrong.
uint64_t edge_number(std::mt19937_64& random) {
  constexpr std::array<uint64_t, 12> numbers{
      0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, ~uint64_t{0}};
  return numbers[below(random, numbers.size())];
}

void overwrite(std::string& bytes, std::mt19937_64& random) {
  const std::array<std::size_t, 4> widths{1, 2, 4, 8};
  const auto width = widths[below(random, widths.size())];
  if (bytes.size() < width) return;
  const auto number = edge_number(random);
  auto* at = bytes.data() + below(random, bytes.size() - width + 1);
  for (std::size_t i = 0; i < width; ++i) at[i] = static_cast<char>(number >> (8 * i));
  if (below(random, 2) == 0) std::reverse(at, at + width);
}

/// A run of the bytes, mostly short.
std::string some_of(const std::string& bytes, std::mt19937_64& random) {
  const auto first = below(random, bytes.size());
  const auto most = below(random, 4) == 0 ? bytes.size() : std::size_t{16};
  return bytes.substr(first, 1 + below(random, most));
}

/// Another value where a text has a number.
void replace_number(std::string& bytes, std::mt19937_64& random) {
  constexpr std::array<const char*, 12> values{
      "-1", "4294967296", "9223372036854775807", "18446744073709551616", "1e300", "1e-320", "-0.0", "nan", "null", "[]",
      "{}", "\"\""};
  const auto first = bytes.find_first_of("0123456789", below(random, bytes.size()));
  if (first == std::string::npos) return;
  const auto end = std::min(bytes.find_first_not_of("0123456789.", first), bytes.size());
  bytes.replace(first, end - first, values[below(random, values.size())]);
}

void change(std::string& bytes, const std::vector<std::string>& seeds, std::mt19937_64& random) {
  const auto place = below(random, bytes.size() + 1);
  switch (below(random, 10)) {
    case 0:
      if (!bytes.empty()) bytes[below(random, bytes.size())] ^= static_cast<char>(1 << below(random, 8));
      return;
    case 1:
      if (!bytes.empty()) bytes[below(random, bytes.size())] = static_cast<char>(random());
      return;
    case 2:
    case 3:
      return overwrite(bytes, random);
    case 4:
      bytes.erase(place, some_of(bytes, random).size());
      return;
    case 5:
      bytes.insert(place, some_of(bytes, random));
      return;
    case 6:
      bytes.insert(place, some_of(seeds[below(random, seeds.size())], random));
      return;
    case 7:
    case 8:
      return replace_number(bytes, random);
    default:
      if (below(random, 4) == 0) bytes.resize(place);
  }
}

uint32_t crc32(const char* bytes, std::size_t n) {
  uint32_t crc = 0xFFFFFFFF;
  for (std::size_t i = 0; i < n; ++i) {
    crc ^= static_cast<uint8_t>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320 & (0U - (crc & 1)));
  }
  return ~crc;
}

std::size_t big_endian(const char* bytes) {
  std::size_t number = 0;
  for (int i = 0; i < 4; ++i) number = number * 256 + static_cast<uint8_t>(bytes[i]);
  return number;
}

}  // namespace

std::string mutate(const std::vector<std::string>& seeds, std::mt19937_64& random) {
  auto bytes = seeds[below(random, seeds.size())];
  for (auto changes = 1 + below(random, 8); changes > 0; --changes) change(bytes, seeds, random);
  return bytes;
}

std::string with_png_checksums(std::string bytes) {
  if (!bytes.starts_with("\x89PNG")) return bytes;
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const auto length = big_endian(bytes.data() + at);
    if (length > bytes.size() - at - 12) break;
    const auto crc = crc32(bytes.data() + at + 4, length + 4);
    for (std::size_t i = 0; i < 4; ++i) bytes[at + 8 + length + i] = static_cast<char>(crc >> (24 - 8 * i));
    at += 12 + length;
  }
  return bytes;
}

}  // namespace codmoe::fuzz
