#include "codmoe/data/image_file.h"

#include "test_files.h"

namespace codmoe::data {
namespace {

class ImageFileTest : public FolderTest {};

TEST_F(ImageFileTest, PngKeepsEveryPixelAndTheOrderOfColours) {
  const auto image = test_image(7, 5), mask = test_mask(9, 4);
  write_png(dir_ / "image.png", image);
  write_png(dir_ / "mask.png", mask);
  EXPECT_TRUE(at::equal(read_image(dir_ / "image.png"), image));
  EXPECT_TRUE(at::equal(read_mask(dir_ / "mask.png"), mask));
}

TEST_F(ImageFileTest, TheFirstColourIsRed) {
  write_bytes(dir_ / "a.jpg", small_jpeg());
  const auto upper = read_image(dir_ / "a.jpg").slice(0, 0, 4).to(at::kDouble).mean(at::IntArrayRef{0, 1});
  EXPECT_NEAR(upper[0].item<double>(), 200, 25);
  EXPECT_NEAR(upper[2].item<double>(), 40, 25);
}

TEST_F(ImageFileTest, NamesWithSpacesAndOtherAlphabets) {
  const std::filesystem::path path = dir_ / "Käfer auf Rinde 甲虫 (1).PNG";
  write_png(path, test_image(3, 3));
  EXPECT_TRUE(is_image_name(path));
  EXPECT_TRUE(at::equal(read_image(path), test_image(3, 3)));
}

TEST_F(ImageFileTest, MasksOfOtherKindsBecomeGrey) {
  write_bytes(
      dir_ / "palette.png",  // black, white, (128, 0, 0)
      from_hex("89504e470d0a1a0a0000000d494844520000000400000002080300000048768d5100000009504c5445000000ffffff8000"
               "0092f398f1000000104944415478da63606064646000222600001f0006c4e43cfd0000000049454e44ae426082"));
  write_bytes(
      dir_ / "onebit.png",
      from_hex("89504e470d0a1a0a0000000d49484452000000080000000201000000004defa0400000000c4944415478da63d8c0c008"
               "00021500b2df66dc090000000049454e44ae426082"));
  write_bytes(
      dir_ / "sixteen.png",
      from_hex("89504e470d0a1a0a0000000d494844520000000200000001100000000081d9fc150000000d4944415478da636060f8ff"
               "1f00030201ff392919be0000000049454e44ae426082"));
  write_png(dir_ / "rgb.png", test_mask(6, 6).unsqueeze(2).expand({6, 6, 3}));
  const auto expect = [&](const char* file, std::initializer_list<int64_t> values, at::IntArrayRef shape) {
    const auto wanted = at::tensor(at::ArrayRef<int64_t>(values)).view(shape).to(at::kByte);
    EXPECT_TRUE(at::equal(read_mask(dir_ / file), wanted)) << file << ": " << read_mask(dir_ / file);
  };
  expect("palette.png", {0, 255, 255, 0, 255, 0, 0, 38}, {2, 4});
  expect("onebit.png", {255, 0, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255}, {2, 8});
  expect("sixteen.png", {0, 255}, {1, 2});
  EXPECT_TRUE(at::equal(read_mask(dir_ / "rgb.png"), test_mask(6, 6)));
}

TEST_F(ImageFileTest, ExifOrientationTurnsThePhotographUpright) {
  std::string jpeg = small_jpeg();
  jpeg.insert(2, from_hex("ffe100224578696600004d4d002a00000008000101120003000000010006000000000000"));
  write_bytes(dir_ / "turned.jpg", jpeg);
  const auto image = read_image(dir_ / "turned.jpg").to(at::kDouble);  // a quarter turn clockwise: top to the right
  EXPECT_GT(image.slice(1, 12, 16).select(2, 0).mean().item<double>(), 150);
  EXPECT_LT(image.slice(1, 0, 4).select(2, 0).mean().item<double>(), 100);
}

TEST_F(ImageFileTest, EveryErrorNamesTheFile) {
  const auto expect = [&](const std::string& name, const char* reason) {
    const std::string error = error_of([&] { read_image(dir_ / name); });
    EXPECT_TRUE(error.find((dir_ / name).string()) != std::string::npos) << error;
    EXPECT_TRUE(error.find(reason) != std::string::npos) << error;
    EXPECT_EQ(error_of([&] { read_mask(dir_ / name); }), error);
  };
  expect("missing.png", "");
  write_bytes(dir_ / "empty.png", "");
  expect("empty.png", "empty");
  write_bytes(dir_ / "garbage.jpg", "this is no image at all");
  expect("garbage.jpg", "no image");
  write_png(dir_ / "whole.png", test_image(40, 40));
  const std::string png = read_bytes(dir_ / "whole.png");
  for (const std::size_t length : {std::size_t{20}, png.size() / 2, png.size() - 1}) {
    write_bytes(dir_ / "cut.png", png.substr(0, length));
    expect("cut.png", "truncated");
  }
}

TEST_F(ImageFileTest, AJpegCutAnywhereIsAnError) {
  const std::string whole = small_jpeg();
  for (std::size_t length = 3; length < whole.size(); ++length) {
    write_bytes(dir_ / "cut.jpg", whole.substr(0, length));
    EXPECT_THROW(read_image(dir_ / "cut.jpg"), core::Error) << length << " of " << whole.size() << " bytes";
  }
  write_bytes(dir_ / "tail.jpg", whole + "bytes that a camera left behind");
  EXPECT_EQ(read_image(dir_ / "tail.jpg").size(0), 16);
}

TEST(ResizeTest, AreaIsTheMeanOfTheCoveredPixels) {
  const auto image = test_image(12, 20);
  const auto mean = image.to(at::kDouble).view({4, 3, 5, 4, 3}).mean(at::IntArrayRef{1, 3});
  const auto small = resize(image, 4, 5, Interpolation::area).to(at::kDouble);
  EXPECT_LE((small - mean).abs().max().item<double>(), 0.51);
}

TEST(ResizeTest, BilinearTakesHalfPixelCentres) {
  const auto image = test_mask(9, 14);
  const auto wanted =
      at::upsample_bilinear2d(image.to(at::kDouble).view({1, 1, 9, 14}), {30, 31}, false).view({30, 31});
  for (const auto how : {Interpolation::bilinear, Interpolation::area}) {  // area does the same where it grows
    const auto got = resize(image, 30, 31, how).to(at::kDouble);
    EXPECT_LE((got - wanted).abs().max().item<double>(), 1.5);
  }
}

TEST(ResizeTest, AreaMayShrinkOneAxisAndStretchTheOther) {
  const auto image = test_image(12, 4);
  const auto shrunk = image.to(at::kDouble).view({4, 3, 4, 3}).mean(1).permute({2, 0, 1}).unsqueeze(0);
  const auto wanted = at::upsample_bilinear2d(shrunk, {4, 9}, false)[0].permute({1, 2, 0});
  EXPECT_LE((resize(image, 4, 9, Interpolation::area).to(at::kDouble) - wanted).abs().max().item<double>(), 1.5);
}

TEST(ResizeTest, NearestInventsNoValue) {
  const auto resized = resize(test_mask(50, 60), 33, 71, Interpolation::nearest);
  EXPECT_TRUE(((resized == 0) | (resized == 255)).all().item<bool>());
}

TEST(ResizeTest, RejectsOtherTensors) {
  EXPECT_THROW(resize(at::zeros({4, 4}), 2, 2, Interpolation::area), c10::Error);
  EXPECT_THROW(resize(test_image(4, 4).unsqueeze(0), 2, 2, Interpolation::area), c10::Error);
  EXPECT_THROW(resize(test_image(4, 4), 0, 2, Interpolation::area), c10::Error);
}

}  // namespace
}  // namespace codmoe::data
