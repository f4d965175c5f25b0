#include "codmoe/core/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "codmoe/core/error.h"
#include "support/temporary_folder.h"

namespace codmoe::core {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  test::TemporaryFolder folder_;
};

template <class Action>
std::string failure(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "it was accepted";
}

TEST_F(Files, WhatIsWrittenIsRead) {
  const std::string bytes("a\0b\r\n\xff", 6);
  write_file_atomically(folder_ / "x", bytes);
  EXPECT_EQ(read_file(folder_ / "x"), bytes);
  write_file_atomically(folder_ / "x", "");
  EXPECT_EQ(read_file(folder_ / "x"), "");
  EXPECT_EQ(entries(), 1U);  // nothing is left beside it
}

TEST_F(Files, PiecesAreWrittenInTheirOrder) {
  const std::vector<std::string_view> pieces{"one ", "", "two"};
  write_file_atomically(folder_ / "x", pieces);
  EXPECT_EQ(read_file(folder_ / "x"), "one two");
}

TEST_F(Files, ALargeFileIsReplacedAsAWhole) {
  const std::string large(5'000'000, 'x');
  write_file_atomically(folder_ / "x", large);
  const auto held = fopen((folder_ / "x").c_str(), "rb");  // a reader of the old file keeps the old file
  write_file_atomically(folder_ / "x", "new");
  fseek(held, 0, SEEK_END);
  EXPECT_EQ(ftell(held), 5'000'000);
  fclose(held);
  EXPECT_EQ(read_file(folder_ / "x"), "new");
}

TEST_F(Files, FailuresNameThePathAndTheReason) {
  const auto no_folder = (folder_ / "no" / "x").string(), as_folder = (folder_ / "d").string();
  fs::create_directory(as_folder);
  EXPECT_EQ(failure([&] { write_file_atomically(no_folder, "a"); }),
            "cannot write " + no_folder + ": No such file or directory");
  EXPECT_EQ(failure([&] { write_file_atomically(as_folder, "a"); }), "cannot write " + as_folder + ": Is a directory");
  EXPECT_EQ(failure([&] { read_file(no_folder); }), "cannot read " + no_folder + ": No such file or directory");
  EXPECT_EQ(failure([&] { read_file(as_folder); }), "cannot read " + as_folder + ": Is a directory");
  EXPECT_EQ(failure([&] { sync_folder(folder_ / "no"); }),
            "cannot sync " + (folder_ / "no").string() + ": No such file or directory");
  EXPECT_EQ(entries(), 1U);  // nothing is left beside it
}

TEST_F(Files, AFailedWriteKeepsTheOldFile) {
  write_file_atomically(folder_ / "x", "old");
  const fs::path beside = folder_ / ("x.tmp-" + std::to_string(getpid()));
  fs::create_directory(beside);  // where the new file would be written
  EXPECT_THROW(write_file_atomically(folder_ / "x", "new"), Error);
  EXPECT_EQ(read_file(folder_ / "x"), "old");
}

}  // namespace
}  // namespace codmoe::core
