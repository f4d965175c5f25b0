// Temporary folders of small predictions and masks.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "codmoe/data/image_file.h"
#include "support/temporary_folder.h"

namespace codmoe::report {

/// For EXPECT_TRUE and EXPECT_FALSE, with the text in the failure's message.
inline testing::AssertionResult contains(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  return (found ? testing::AssertionSuccess() : testing::AssertionFailure())
         << "\"" << part << "\" is" << (found ? "" : " not") << " in: " << text.substr(0, 2000);
}

/// A folder of its own for each test.
class FolderTest : public testing::Test {
 protected:
  FolderTest() {
    for (const char* folder : {"GT", "Imgs", "pred"}) std::filesystem::create_directories(dir_ / folder);
  }

  std::filesystem::path gt() const { return dir_ / "GT"; }
  std::filesystem::path images() const { return dir_ / "Imgs"; }
  std::filesystem::path pred() const { return dir_ / "pred"; }

  /// A mask with a square, and a prediction of the square that misses its first `missed` of 20 rows.
  void write_pair(const std::string& name, int64_t missed) const {
    data::write_png(gt() / (name + ".png"), square(0));
    data::write_png(pred() / (name + ".png"), square(missed));
  }

  static at::Tensor square(int64_t missed) {
    at::Tensor image = at::zeros({40, 50}, at::kByte);
    image.slice(0, 10 + missed, 30).slice(1, 10, 30).fill_(255);
    return image;
  }

  test::TemporaryFolder dir_;
};

}  // namespace codmoe::report
