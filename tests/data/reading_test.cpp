// Files as people have them: formats, names, links, rights.
#include <map>

#include "codmoe/data/dataset.h"
#include "codmoe/data/doctor.h"
#include "odd_files.h"

namespace codmoe::data {
namespace {

namespace fs = std::filesystem;

/// 6x4 pixels: (200, 80, 40) above, (30, 90, 200) below. Written by Pillow; WebP without loss.
const std::map<std::string, std::string>& lossless_files() {
  static const std::map<std::string, std::string> files{
      {"bmp",
       from_hex(
           "424d860000000000000036000000280000000600000004000000010018000000000050000000c40e0000c40e0000000000000000"
           "0000c85a1ec85a1ec85a1ec85a1ec85a1ec85a1e0000c85a1ec85a1ec85a1ec85a1ec85a1ec85a1e00002850c82850c82850c828"
           "50c82850c82850c800002850c82850c82850c82850c82850c82850c80000")},
      {"webp", from_hex("5249464622000000574542505650384c160000002f05c000000f702dfb7ba81e0c79fe8307f313d1ff18")},
      {"tiff",
       from_hex(
           "49492a00080000000a00000104000100000006000000010104000100000004000000020103000300000086000000030103000100"
           "00000100000006010300010000000200000011010400010000008c00000015010300010000000300000016010400010000000400"
           "00001701040001000000480000001c010300010000000100000000000000080008000800c85028c85028c85028c85028c85028c8"
           "5028c85028c85028c85028c85028c85028c850281e5ac81e5ac81e5ac81e5ac81e5ac81e5ac81e5ac81e5ac81e5ac81e5ac81e5a"
           "c81e5ac8")}};
  return files;
}

class ReadingTest : public FolderTest {
 protected:
  static at::Tensor two_colours() {
    auto image = at::empty({4, 6, 3}, at::kByte);
    image.slice(0, 0, 2).copy_(at::tensor({200, 80, 40}).to(at::kByte));
    image.slice(0, 2, 4).copy_(at::tensor({30, 90, 200}).to(at::kByte));
    return image;
  }
};

TEST_F(ReadingTest, FormatsWithoutLossGiveTheirPixels) {
  for (const auto& [format, bytes] : lossless_files()) {
    const fs::path path = dir_ / ("a file." + format);
    write_bytes(path, bytes);
    EXPECT_TRUE(is_image_name(path)) << format;
    EXPECT_TRUE(at::equal(read_image(path), two_colours())) << format;
  }
}

TEST_F(ReadingTest, ACutFileOfAnyFormatIsAnErrorThatNamesIt) {
  for (const auto& [format, bytes] : lossless_files()) {
    for (const std::size_t length : {bytes.size() / 2, bytes.size() - 3}) {
      const fs::path path = dir_ / ("cut." + format);
      write_bytes(path, bytes.substr(0, length));
      const std::string error = error_of([&] { read_image(path); });
      EXPECT_TRUE(error.find(path.string()) != std::string::npos) << format << " " << length << ": " << error;
    }
  }
}

TEST_F(ReadingTest, ADatasetBehindLinksInAFolderThatCannotBeWritten) {
  const fs::path real = dir_ / "wirkliche Daten", linked = dir_ / "связь 链接";
  write_pair(real, "Käfer auf Rinde 甲虫", 40, 50);
  write_pair(dir_ / "elsewhere", "a b", 40, 50);
  for (const char* folder : {"Imgs", "GT"}) {
    fs::create_symlink(dir_ / "elsewhere" / folder / "a b.png", real / folder / "a b.png");
    fs::permissions(real / folder, fs::perms::owner_read | fs::perms::owner_exec);
  }
  write_bytes(real / "list.txt",
              "\xEF\xBB\xBF"
              "Käfer auf Rinde 甲虫.png\r\na b\r\n");
  fs::permissions(real, fs::perms::owner_read | fs::perms::owner_exec);
  fs::create_directory_symlink(real, linked);

  const Dataset dataset({linked, linked / "list.txt"});
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.item(0).name, "Käfer auf Rinde 甲虫");
  EXPECT_TRUE(at::equal(read_image(dataset.item(1).image), test_image(40, 50)));
  EXPECT_TRUE(examine(linked).findings.empty());
  for (const fs::path& folder : {real, real / "Imgs", real / "GT"}) fs::permissions(folder, fs::perms::owner_all);
}

TEST_F(ReadingTest, LinksInACircleAreNamed) {
  write_pair(dir_, "a", 40, 50);
  fs::remove(dir_ / "Imgs/a.png");
  fs::create_symlink("b.png", dir_ / "Imgs/a.png");
  fs::create_symlink("a.png", dir_ / "Imgs/b.png");
  fs::copy_file(dir_ / "GT/a.png", dir_ / "GT/b.png");
  const Dataset dataset({dir_, {}});
  const std::string error = error_of([&] { read_image(dataset.item(0).image); });
  EXPECT_TRUE(error.find("Imgs/a.png") != std::string::npos) << error;
  const Examination set = examine(dir_);
  ASSERT_EQ(set.findings.size(), 2U);
  for (const Finding& finding : set.findings) EXPECT_EQ(finding.fault, Fault::broken_link);
}

}  // namespace
}  // namespace codmoe::data
