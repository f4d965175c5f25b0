#include "codmoe/data/doctor.h"

#include <map>

#include "test_files.h"

namespace codmoe::data {
namespace {

namespace fs = std::filesystem;

class DoctorTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (const char* name : {"a", "b", "c"}) write_pair(dir_, name, 50, 64);
  }

  /// The faults found, by file, and whether they falsify a score.
  std::map<std::string, std::pair<Fault, bool>> faults() const {
    std::map<std::string, std::pair<Fault, bool>> found;
    for (const Finding& finding : examine(dir_).findings) {
      found[finding.file.lexically_relative(dir_).string()] = {finding.fault, finding.falsifies};
    }
    return found;
  }
  using Faults = std::map<std::string, std::pair<Fault, bool>>;
};

TEST_F(DoctorTest, ACleanFolderHasNoFindings) {
  int64_t last = 0;
  const Examination result = examine(dir_, [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 3);
    last = done;
  });
  EXPECT_EQ(last, 3);
  EXPECT_TRUE(result.findings.empty());
  EXPECT_FALSE(result.falsifies_scores());
  ASSERT_EQ(result.pairs.size(), 3U);
  EXPECT_EQ(result.pairs[1].name, "b");
  EXPECT_EQ(result.pairs[1].width, 64);
  EXPECT_EQ(result.pairs[1].height, 50);
  EXPECT_NEAR(result.pairs[1].coverage, 15.0 * 27 / (50 * 64), 1e-12);
}

TEST_F(DoctorTest, FaultsOfFiles) {
  write_png(dir_ / "Imgs/no_mask.png", test_image(8, 8));
  write_png(dir_ / "GT/no_image.png", test_mask(8, 8));
  write_bytes(dir_ / "Imgs/a.jpg", "");
  const std::string whole = read_bytes(dir_ / "Imgs/b.png");
  write_bytes(dir_ / "Imgs/b.png", whole.substr(0, whole.size() - 40));
  write_png(dir_ / "GT/c.png", test_mask(64, 50));
  const Faults found = faults();
  EXPECT_EQ(found, (Faults{{"Imgs/no_mask.png", {Fault::unpaired, true}},
                           {"GT/no_image.png", {Fault::unpaired, true}},
                           {"Imgs/a.png", {Fault::duplicate_name, true}},
                           {"Imgs/a.jpg", {Fault::empty_file, true}},
                           {"Imgs/b.png", {Fault::truncated, true}},
                           {"GT/c.png", {Fault::size_mismatch, true}}}));
  EXPECT_TRUE(examine(dir_).falsifies_scores());
}

TEST_F(DoctorTest, FaultsOfMasks) {
  const auto grey = [](int64_t pixels, int64_t value) {
    auto mask = test_mask(50, 64);
    mask.view(-1).slice(0, 0, pixels).fill_(value);
    return mask;
  };
  const std::map<std::string, std::pair<at::Tensor, std::pair<Fault, bool>>> cases{
      {"empty", {at::zeros({50, 64}, at::kByte), {Fault::empty_mask, true}}},
      {"full", {at::full({50, 64}, 255, at::kByte), {Fault::full_mask, true}}},
      {"zero_one", {(test_mask(50, 64) > 0).to(at::kByte), {Fault::dark_mask, true}}},
      {"soft_edge", {grey(30, 100), {Fault::grey_mask, false}}},
      {"compressed", {grey(900, 3), {Fault::grey_mask, false}}},
      {"undecided", {grey(900, 100), {Fault::grey_mask, true}}}};
  Faults wanted;
  for (const auto& [name, mask] : cases) {
    write_pair(dir_, name, 50, 64);
    write_png(dir_ / "GT" / (name + ".png"), mask.first);
    wanted["GT/" + name + ".png"] = mask.second;
  }
  EXPECT_EQ(faults(), wanted);
}

TEST_F(DoctorTest, NotesAloneFalsifyNothing) {
  auto mask = test_mask(50, 64);
  mask[0][0] = 128;
  write_png(dir_ / "GT/a.png", mask);
  const Examination result = examine(dir_);
  EXPECT_EQ(result.findings.size(), 1U);
  EXPECT_FALSE(result.falsifies_scores());
}

TEST_F(DoctorTest, AFolderThatIsNoDatasetIsAnError) {
  const std::string error = error_of([&] { examine(dir_ / "Imgs"); });
  EXPECT_TRUE(error.find("Imgs, Image, Images") != std::string::npos) << error;
}

}  // namespace
}  // namespace codmoe::data
