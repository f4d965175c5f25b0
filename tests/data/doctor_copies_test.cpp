#include <algorithm>
#include <cmath>
#include <map>

#include "codmoe/data/doctor.h"
#include "codmoe/data/synth.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSize = 160, kPhotographs = 8;

const std::vector<at::Tensor>& photographs() {
  static const auto drawn = [] {
    std::vector<at::Tensor> images;
    for (int64_t i = 0; i < kPhotographs; ++i) images.push_back(make_synth_sample({.size = kSize, .seed = 3}, i).image);
    return images;
  }();
  return drawn;
}

/// The part that begins `left` and `top` pixels in and lost `less` of each side.
at::Tensor crop(const at::Tensor& image, int64_t left, int64_t top, int64_t less) {
  return image.slice(0, top, top + kSize - less).slice(1, left, left + kSize - less).contiguous();
}

/// Blocks of 8x8 pixels with coarser colours, much as a JPEG of low quality.
at::Tensor encode_again(const at::Tensor& image) {
  const auto small = resize(image, kSize / 8, kSize / 8, Interpolation::area);
  const auto blocks = resize(small, kSize, kSize, Interpolation::nearest).to(at::kInt);
  const auto detail = image.to(at::kInt) - blocks;
  return (blocks + at::round(detail / 24.0).to(at::kInt) * 24).clamp(0, 255).to(at::kByte);
}

bool is_found(const at::Tensor& a, const at::Tensor& b) {
  const PictureSignature x = signature_of(a), y = signature_of(b);
  EXPECT_EQ(may_be_copies(x, y), may_be_copies(y, x));
  return may_be_copies(x, y) && similarity(x, y) >= kCopySimilarity;
}

TEST(CopiesTest, ChangedCopiesAreFound) {
  const int64_t five = kSize / 20;
  const std::map<std::string, std::function<at::Tensor(const at::Tensor&)>> changes{
      {"none", [](const auto& image) { return image; }},
      {"half", [](const auto& image) { return resize(image, kSize / 2, kSize / 2, Interpolation::area); }},
      {"wide", [](const auto& image) { return resize(image, kSize, 2 * kSize, Interpolation::bilinear); }},
      {"encoded again", encode_again},
      {"lighter", [](const auto& image) { return (image.to(at::kFloat) * 1.1 + 12).clamp(0, 255).to(at::kByte); }},
      {"5 % off its left and top", [&](const auto& image) { return crop(image, five, five, five); }},
      {"5 % off its right and bottom", [&](const auto& image) { return crop(image, 0, 0, five); }},
      {"5 % off around", [&](const auto& image) { return crop(image, 3, 5, five); }},
      {"5 % off each side", [&](const auto& image) { return crop(image, five, five, 2 * five); }},
      {"5 % off, half",
       [&](const auto& image) { return resize(crop(image, 6, 1, five), kSize / 2, kSize / 2, Interpolation::area); }}};
  for (const auto& [name, change] : changes) {
    for (const at::Tensor& image : photographs()) EXPECT_TRUE(is_found(image, change(image))) << name;
  }
}

TEST(CopiesTest, OtherPhotographsAreNone) {
  for (std::size_t i = 0; i < photographs().size(); ++i) {
    const PictureSignature mine = signature_of(photographs()[i]);
    for (std::size_t k = 0; k < i; ++k) EXPECT_LT(similarity(mine, signature_of(photographs()[k])), 0.5);
  }
}

TEST(CopiesTest, BlankPhotographsAreCopiesOnlyWhereEqual) {
  const auto blank = [](int64_t value, int64_t size) { return at::full({size, size, 3}, value, at::kByte); };
  EXPECT_FALSE(is_found(blank(3, 40), blank(200, 40)));
  EXPECT_FALSE(is_found(blank(3, 40), blank(3, 50)));
  EXPECT_TRUE(may_be_copies(signature_of(blank(3, 40)), signature_of(blank(3, 40))));
}

class CopiesInSetsTest : public FolderTest {
 protected:
  void write(const std::string& set, const std::string& name, const at::Tensor& image) {
    fs::create_directories(dir_ / set / "Imgs");
    fs::create_directories(dir_ / set / "GT");
    write_png(dir_ / set / "Imgs" / (name + ".png"), image);
    auto mask = at::zeros({image.size(0), image.size(1)}, at::kByte);
    mask.slice(0, 4, 12 + ++written_).fill_(255);
    write_png(dir_ / set / "GT" / (name + ".png"), mask);
  }
  std::vector<Examination> examined(std::initializer_list<const char*> names) const {
    std::vector<Examination> sets;
    for (const char* name : names) sets.push_back(examine(dir_ / name));
    find_copies(sets);
    return sets;
  }
  int64_t written_ = 0;
};

TEST_F(CopiesInSetsTest, WithinASetTheyAreNotesAndBetweenSetsTheyFalsify) {
  for (std::size_t i = 0; i < 3; ++i) write("train", "t" + std::to_string(i), photographs()[i]);
  write("train", "t3", photographs()[0]);
  write("test", "a", photographs()[4]);
  write("test", "b", resize(photographs()[2], 80, 80, Interpolation::area));
  const auto sets = examined({"train", "test"});
  ASSERT_EQ(sets[0].findings.size(), 1U);
  EXPECT_EQ(sets[0].findings[0].fault, Fault::exact_duplicate);
  EXPECT_EQ(sets[0].findings[0].file, dir_ / "train/Imgs/t3.png");
  EXPECT_EQ(sets[0].findings[0].other, dir_ / "train/Imgs/t0.png");
  EXPECT_FALSE(sets[0].falsifies_scores());
  ASSERT_EQ(sets[1].findings.size(), 1U);
  EXPECT_EQ(sets[1].findings[0].fault, Fault::near_duplicate);
  EXPECT_EQ(sets[1].findings[0].other, dir_ / "train/Imgs/t2.png");
  EXPECT_TRUE(sets[1].falsifies_scores());
}

TEST_F(CopiesInSetsTest, BetweenTheListsOfASetTheyFalsify) {
  for (std::size_t i = 0; i < 4; ++i) write("set", "t" + std::to_string(i), photographs()[i]);
  write("set", "v0", crop(photographs()[1], 3, 4, 8));
  write_bytes(dir_ / "set/train.txt", "t0\nt1\nt2\n");
  write_bytes(dir_ / "set/val.txt", "t3\nv0\n");
  const auto sets = examined({"set"});
  ASSERT_EQ(sets[0].findings.size(), 1U);
  EXPECT_EQ(sets[0].findings[0].file, dir_ / "set/Imgs/v0.png");
  EXPECT_TRUE(sets[0].findings[0].falsifies);
}

TEST_F(CopiesInSetsTest, AnImageIsNamedOnceForEachSet) {
  for (const char* name : {"a", "b", "c", "d"}) write("set", name, photographs()[5]);
  EXPECT_EQ(examined({"set"})[0].findings.size(), 3U);
}

}  // namespace
}  // namespace codmoe::data
