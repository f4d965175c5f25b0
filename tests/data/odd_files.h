// Bytes of image files of kinds that write_png does not write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "test_files.h"

namespace codmoe::data {

inline std::string big_endian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 255));
  return bytes;
}

inline std::string png_chunk(std::string_view type, const std::string& content) {
  uint32_t checksum = 0xFFFFFFFFU;
  const std::string checked = std::string(type) + content;
  for (const char c : checked) {
    checksum ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) checksum = checksum >> 1 ^ ((checksum & 1) != 0 ? 0xEDB88320U : 0U);
  }
  return big_endian(static_cast<uint32_t>(content.size())) + checked + big_endian(~checksum);
}

/// zlib's format with one stored block: at most 65,535 bytes.
inline std::string stored(const std::string& bytes) {
  uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<uint32_t>(bytes.size());
  std::string head = from_hex("780101");
  for (const uint32_t half : {size, ~size}) {
    head.push_back(static_cast<char>(half & 255));
    head.push_back(static_cast<char>(half >> 8 & 255));
  }
  return head + bytes + big_endian(b << 16 | a);
}

/// A PNG of uint8 samples [H, W, C]; `depth` bits each (16 writes a sample as two equal bytes), `colour` the colour
/// type of ISO/IEC 15948: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA. `chunks` stand before the pixels.
inline std::string png_bytes(const at::Tensor& samples_hwc, int depth, int colour, const std::string& chunks = "") {
  const at::Tensor contiguous = samples_hwc.contiguous();
  const auto* sample = contiguous.const_data_ptr<uint8_t>();
  std::string rows;
  for (int64_t row = 0; row < contiguous.size(0); ++row) {
    rows.push_back('\0');  // no filter
    for (int64_t i = 0; i < contiguous.size(1) * contiguous.size(2); ++i, ++sample) {
      rows.append(static_cast<std::size_t>(depth / 8), static_cast<char>(*sample));
    }
  }
  std::string header =
      big_endian(static_cast<uint32_t>(contiguous.size(1))) + big_endian(static_cast<uint32_t>(contiguous.size(0)));
  for (const int value : {depth, colour, 0, 0, 0}) header.push_back(static_cast<char>(value));
  return from_hex("89504e470d0a1a0a") + png_chunk("IHDR", header) + chunks + png_chunk("IDAT", stored(rows)) +
         png_chunk("IEND", "");
}

/// 64x48 (width first), RGB. Written by Pillow, as the two below.
inline std::string jpeg_photograph() {
  return from_hex(
      "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e"
      "2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e13111326151526"
      "4f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f"
      "4f4fffc00011080030004003012200021101031101ffc40017000101010100000000000000000000000000050304ffc400141001"
      "00000000000000000000000000000000ffc40017010101010100000000000000000000000006020305ffc4001411010000000000"
      "0000000000000000000000ffda000c03010002110311003f00e501c8244f00f0155400a4320181eb501b8125006ab50000ce93c0"
      "3c055500290c80607ad406e049401aadffd9");
}

/// 64x48, grey: a white rectangle on black.
inline std::string jpeg_mask() {
  return from_hex(
      "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e"
      "2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc0000b080030004001011100ffc4"
      "0017000101010100000000000000000000000000070605ffc4003710000101050402100700000000000000000001020306111204"
      "050714131715163645525465748393a1a4b2c3d2e221222432414362ffda0008010100003f0098000000034f06423b6ace7d7e53"
      "2b47e9d255555fd24beded351aa3e5eee9ef1aa3e5eee9ef38317c0bb58ba9d5bb64b35a47e8e68d05129b2d2ce752f07b4c7000"
      "a7e0c6fcf41e614e061317f72b65e7ac781b23a0029f831bf3d0798538184c5fdcad979eb1e06c8e800ef43115dbe18cce41cd99"
      "e6668af4ccb4b2a6729495384a7775ab7f714bb7ab79eb1ad5bfb8a5dbd5bcf59c989235bce24bbddd8adce2c8eddb0f51ea2b96"
      "1a459a22a7e5a5f87cca6680000001ffd9");
}

/// 64x48, four channels.
inline std::string jpeg_cmyk() {
  return from_hex(
      "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931"
      "302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc000140800300040044311004d110059"
      "11004b1100ffc40017000101010100000000000000000000000000070603ffc40014100100000000000000000000000000000000"
      "ffda000e0443004d0059004b00003f00de324a429c0000000000000000008b2d2c73880002d28b362ec000000008b2d2c7388000"
      "2d28b362ec000000008b2d2c73880002d28b362ec000000008b2d2c73880002d28b362ec000000008b2d2c73880002d28b362ec0"
      "000fffd9");
}

/// A JPEG with an EXIF segment that gives its orientation, 1 ... 8.
inline std::string with_orientation(std::string jpeg, int orientation) {
  std::string exif = from_hex("ffe100224578696600004d4d002a00000008000101120003000000010006000000000000");
  exif[29] = static_cast<char>(orientation);
  return jpeg.insert(2, exif);
}

}  // namespace codmoe::data
