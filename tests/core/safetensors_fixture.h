// Files of safetensors written byte by byte, and what the reader says of them.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "codmoe/core/error.h"
#include "codmoe/core/safetensors.h"
#include "support/temporary_folder.h"

namespace codmoe::core {

/// One file a test, removed with the test.
class SafetensorsTest : public testing::Test {
 protected:
  static constexpr auto accepted = "it was accepted";

  void write(const std::string& bytes) const {
    std::filesystem::remove(path_);  // ext4 takes milliseconds over a file that is cut to nothing and written again
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  static at::Tensor bools(std::initializer_list<int> values) { return at::tensor(values).to(at::kBool); }

  /// A file with this header and `data_bytes` zero bytes behind it.
  void write_header(const std::string& json, std::size_t data_bytes) const {
    const uint64_t length = json.size();
    std::string bytes(sizeof(length), '\0');
    std::memcpy(bytes.data(), &length, sizeof(length));
    write(bytes + json + std::string(data_bytes, '\0'));
  }

  /// The message of the refusal: one line that begins with the path.
  std::string refusal() const {
    try {
      load_safetensors(path_);
    } catch (const Error& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find(path_.string()), 0) << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      // What is only mapped needs no memory.
      if (message.find("no memory") == std::string::npos) {
        EXPECT_EQ(refusal_to_map(), message);
      }
      return message;
    }
    return accepted;
  }

  std::string refusal_to_map() const {
    try {
      map_safetensors(path_);
    } catch (const Error& error) {
      return error.what();
    }
    return accepted;
  }

  test::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "a.safetensors";
};

}  // namespace codmoe::core
