// Files that the tests of data write and read.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"
#include "support/temporary_folder.h"

namespace codmoe::data {

/// A folder of its own for each test.
class FolderTest : public testing::Test {
 protected:
  test::TemporaryFolder dir_;
};

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return bytes;
}

/// The message of the core::Error that `body` throws.
template <class Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const core::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no core::Error was thrown";
  return "";
}

/// A photograph whose every pixel depends on its place and on `kind`.
inline at::Tensor test_image(int64_t height, int64_t width, int64_t kind = 0) {
  const auto y = at::arange(height).view({height, 1, 1}), x = at::arange(width).view({1, width, 1});
  const auto channel = at::arange(3).view({1, 1, 3});
  return (y * 5 + x * 3 + channel * 70 + kind * 37 + (x * y) % 11).remainder(256).to(at::kByte).contiguous();
}

/// A bright rectangle off the centre.
inline at::Tensor test_mask(int64_t height, int64_t width) {
  auto mask = at::zeros({height, width}, at::kByte);
  mask.slice(0, height / 5, height / 2).slice(1, width / 3, 3 * width / 4).fill_(255);
  return mask;
}

inline void write_pair(const std::filesystem::path& dir, const std::string& name, int64_t height, int64_t width,
                       int64_t kind = 0) {
  std::filesystem::create_directories(dir / "Imgs");
  std::filesystem::create_directories(dir / "GT");
  write_png(dir / "Imgs" / (name + ".png"), test_image(height, width, kind));
  write_png(dir / "GT" / (name + ".png"), test_mask(height, width));
}

/// 16x16, quality 60: the upper half is (200, 80, 40), the lower half (30, 90, 200).
inline std::string small_jpeg() {
  return from_hex(
      "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e2931302e"
      "29"
      "2d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e131113261515264f352d354f4f4f4f4f"
      "4f"
      "4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc000110800100010030122"
      "00"
      "021101031101ffc400160001010100000000000000000000000000000405ffc40014100100000000000000000000000000000000ffc40014"
      "01"
      "0100000000000000000000000000000003ffc400191100020301000000000000000000000000001562a1e163ffda000c0301000211031100"
      "3f"
      "0094678749d2b47750bc3fffd9");
}

}  // namespace codmoe::data
