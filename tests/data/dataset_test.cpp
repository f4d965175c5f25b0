#include "codmoe/data/dataset.h"

#include "test_files.h"

namespace codmoe::data {
namespace {

namespace fs = std::filesystem;

class DatasetTest : public FolderTest {
 protected:
  std::string error(const fs::path& list = {}) const {
    return error_of([&] { Dataset({dir_, list}); });
  }
  static bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
};

TEST_F(DatasetTest, PairsByNameInOrder) {
  write_bytes(dir_ / "Images/b.jpg", "");
  write_bytes(dir_ / "Images/a b ü.JPEG", "");
  write_bytes(dir_ / "Images/.hidden.jpg", "");
  write_bytes(dir_ / "Images/notes.txt", "");
  write_bytes(dir_ / "Masks/a b ü.png", "");
  write_bytes(dir_ / "Masks/b.png", "");
  const Dataset dataset({dir_, {}});
  ASSERT_EQ(dataset.size(), 2);
  EXPECT_EQ(dataset.item(0).name, "a b ü");
  EXPECT_EQ(dataset.item(0).image, dir_ / "Images/a b ü.JPEG");
  EXPECT_EQ(dataset.item(1).mask, dir_ / "Masks/b.png");
  EXPECT_THROW(dataset.item(2), std::out_of_range);
}

TEST_F(DatasetTest, EveryFolderNameOfTheDesignIsFound) {
  for (const char* images : {"Imgs", "Image", "Images"}) {
    for (const char* masks : {"GT", "Mask", "Masks"}) {
      const fs::path dir = dir_ / (std::string(images) + masks);
      write_bytes(dir / images / "x.jpg", "");
      write_bytes(dir / masks / "x.png", "");
      EXPECT_EQ(Dataset({dir, {}}).size(), 1) << dir;
    }
  }
}

TEST_F(DatasetTest, ALinkCountsAsAFile) {
  write_bytes(dir_ / "elsewhere.jpg", "");
  write_bytes(dir_ / "GT/x.png", "");
  fs::create_directories(dir_ / "Imgs");
  fs::create_symlink(dir_ / "elsewhere.jpg", dir_ / "Imgs/x.jpg");
  EXPECT_EQ(Dataset({dir_, {}}).size(), 1);
}

TEST_F(DatasetTest, AFileWithoutPartnerIsNamed) {
  write_bytes(dir_ / "Imgs/a.jpg", "");
  write_bytes(dir_ / "Imgs/lonely.jpg", "");
  write_bytes(dir_ / "GT/a.png", "");
  EXPECT_TRUE(holds(error(), "Imgs/lonely.jpg")) << error();
  fs::rename(dir_ / "Imgs/lonely.jpg", dir_ / "GT/orphan.png");
  EXPECT_TRUE(holds(error(), "GT/orphan.png")) << error();
}

TEST_F(DatasetTest, MissingAndEmptyFoldersAreNamed) {
  EXPECT_TRUE(holds(error(), "Imgs, Image, Images")) << error();
  fs::create_directories(dir_ / "Imgs");
  EXPECT_TRUE(holds(error(), "GT, Mask, Masks")) << error();
  fs::create_directories(dir_ / "GT");
  EXPECT_TRUE(holds(error(), "has no images")) << error();
  fs::remove_all(dir_);
  EXPECT_TRUE(holds(error(), dir_.path().string() + ": no such folder")) << error();
}

TEST_F(DatasetTest, TwoFilesOfOneNameAreAnError) {
  for (const char* file : {"Imgs/a.jpg", "Imgs/a.png", "GT/a.png"}) write_bytes(dir_ / file, "");
  EXPECT_TRUE(holds(error(), "Imgs/a.jpg") && holds(error(), "Imgs/a.png")) << error();
}

TEST_F(DatasetTest, AListChoosesAndOrders) {
  for (const char* name : {"a", "b", "c.d", "e"}) {
    write_bytes(dir_ / "Imgs" / (std::string(name) + ".jpg"), "");
    write_bytes(dir_ / "GT" / (std::string(name) + ".png"), "");
  }
  write_bytes(dir_ / "GT/without_image.png", "");  // not of the list: no business of this dataset
  write_bytes(dir_ / "list.txt", "e.jpg\r\n\nc.d\r\na\n");
  const Dataset dataset({dir_, dir_ / "list.txt"});
  ASSERT_EQ(dataset.size(), 3);
  EXPECT_EQ(dataset.item(0).name, "e");
  EXPECT_EQ(dataset.item(1).name, "c.d");
  EXPECT_EQ(dataset.item(2).name, "a");
}

TEST_F(DatasetTest, AListThatCannotBeMetIsAnError) {
  write_bytes(dir_ / "Imgs/a.jpg", "");
  write_bytes(dir_ / "Imgs/b.jpg", "");
  write_bytes(dir_ / "GT/a.png", "");
  const fs::path list = dir_ / "list.txt";
  EXPECT_TRUE(holds(error(list), list.string())) << error(list);  // not there
  write_bytes(list, "a\nzebra\n");
  EXPECT_TRUE(holds(error(list), "Imgs") && holds(error(list), "'zebra'")) << error(list);
  write_bytes(list, "a\nb\n");
  EXPECT_TRUE(holds(error(list), "GT") && holds(error(list), "'b'")) << error(list);
  write_bytes(list, "a\na.jpg\n");
  EXPECT_TRUE(holds(error(list), "'a' twice")) << error(list);
  write_bytes(list, "\n");
  EXPECT_TRUE(holds(error(list), "empty")) << error(list);
}

TEST_F(DatasetTest, FingerprintIsFnv1aOfTheNamesInOrder) {
  for (const char* name : {"a b ü", "a", "b"}) write_pair(dir_, name, 4, 4);
  const auto fingerprint = [&](const std::string& names) {
    write_bytes(dir_ / "list.txt", names);
    return Dataset({dir_, dir_ / "list.txt"}).fingerprint();
  };
  // h = 0xcbf29ce484222325; for each byte of each name and its line feed: h = (h ^ byte) * 0x100000001b3 mod 2^64.
  EXPECT_EQ(fingerprint("a\nb\n"), "2-78ed6781f136a14e");
  EXPECT_EQ(fingerprint("b\na\n"), "2-e29f019b41a1da9a");
  EXPECT_EQ(fingerprint("a b ü\nb\n"), "2-7e1b8e4e655f65d1");
}

}  // namespace
}  // namespace codmoe::data
