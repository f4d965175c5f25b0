#include "codmoe/engine/tfevents.h"

#include <array>
#include <bit>

namespace codmoe::engine::tfevents {

namespace {

constexpr auto kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}();

/// TFRecord stores no plain checksum: that of data with a checksum in it would be weak.
uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> 8 * i & 0xff);
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

// Fields of a protocol buffer: number and wire type, then the value.

std::string field(uint32_t number, uint32_t wire_type) { return varint(number << 3 | wire_type); }
std::string double_field(uint32_t number, double value) {
  return field(number, 1) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string float_field(uint32_t number, float value) {
  return field(number, 5) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string bytes_field(uint32_t number, std::string_view value) {
  return field(number, 2) + varint(value.size()) + std::string(value);
}

std::string varint_field(uint32_t number, int64_t value) {
  return field(number, 0) + varint(static_cast<uint64_t>(value));
}
std::string packed_doubles_field(uint32_t number, std::span<const double> values) {
  std::string bytes;
  for (const double value : values) bytes += little_endian(std::bit_cast<uint64_t>(value));
  return bytes_field(number, bytes);
}

/// Event: wall_time = 1, step = 2 (not written where it is the default, 0).
std::string event(double wall_time, int64_t step) {
  return double_field(1, wall_time) + (step == 0 ? "" : field(2, 0) + varint(static_cast<uint64_t>(step)));
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char byte : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::string record(std::string_view message) {
  const auto length = little_endian<uint64_t>(message.size());
  return length + little_endian(masked(crc32c(length))) + std::string(message) + little_endian(masked(crc32c(message)));
}

std::string version_event(double wall_time) {
  return event(wall_time, 0) + bytes_field(3, "brain.Event:2");  // Event.file_version
}

std::string start_event(double wall_time, int64_t step) {
  const auto started = field(1, 0) + varint(1);             // SessionLog.status = START
  return event(wall_time, step) + bytes_field(7, started);  // Event.session_log
}

std::string scalars_event(double wall_time, int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const auto& scalar : scalars) {  // Summary.value = 1, with tag = 1 and simple_value = 2
    summary += bytes_field(1, bytes_field(1, scalar.tag) + float_field(2, static_cast<float>(scalar.value)));
  }
  return event(wall_time, step) + bytes_field(5, summary);  // Event.summary
}

namespace {

/// HistogramProto: min = 1, max = 2, num = 3, sum = 4, sum_squares = 5, bucket_limit = 6 (right edges), bucket = 7.
std::string histogram_message(std::span<const double> counts) {
  double number = 0.0, sum = 0.0, squares = 0.0;
  std::vector<double> limits;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto value = static_cast<double>(i);
    limits.push_back(value + 0.5);
    number += counts[i];
    sum += value * counts[i];
    squares += value * value * counts[i];
  }
  return double_field(1, -0.5) + double_field(2, limits.empty() ? 0.0 : limits.back()) + double_field(3, number) +
         double_field(4, sum) + double_field(5, squares) + packed_doubles_field(6, limits) +
         packed_doubles_field(7, counts);
}

/// Summary.Image: height = 1, width = 2, colorspace = 3 (3: RGB), encoded_image_string = 4.
std::string image_message(const Image& image) {
  return varint_field(1, image.height) + varint_field(2, image.width) + varint_field(3, 3) + bytes_field(4, image.png);
}

}  // namespace

std::string histograms_event(double wall_time, int64_t step, std::span<const Histogram> histograms) {
  std::string summary;
  for (const auto& histogram : histograms) {  // Summary.value = 1, with tag = 1 and histo = 5
    summary += bytes_field(1, bytes_field(1, histogram.tag) + bytes_field(5, histogram_message(histogram.counts)));
  }
  return event(wall_time, step) + bytes_field(5, summary);
}

std::string images_event(double wall_time, int64_t step, std::span<const Image> images) {
  std::string summary;
  for (const auto& image : images) {  // Summary.value = 1, with tag = 1 and image = 4
    summary += bytes_field(1, bytes_field(1, image.tag) + bytes_field(4, image_message(image)));
  }
  return event(wall_time, step) + bytes_field(5, summary);
}

}  // namespace codmoe::engine::tfevents
