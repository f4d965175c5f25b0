// Pasting, erasing, salt and pepper, binary masks: against a slow plain version, and what is drawn.
#include <set>

#include "codmoe/core/options_json.h"
#include "codmoe/data/augment.h"
#include "codmoe/data/image_file.h"
#include "codmoe/ops/augment_pixel.h"
#include "plain_augment.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kSize = 64;

Sample test_sample(int64_t height, int64_t width, int64_t kind = 0) {
  return {resize(resize(test_image(height, width, kind), height / 4, width / 4, Interpolation::area), height, width,
                 Interpolation::bilinear),
          test_mask(height, width)};
}

/// A disc of 255 with a soft edge.
Sample disc_sample(int64_t side) {
  const auto distance = (at::arange(side, at::kDouble) - static_cast<double>(side - 1) / 2).square();
  const auto radius = (distance.view({side, 1}) + distance.view({1, side})).sqrt();
  const auto level = ((static_cast<double>(side) / 4 - radius) * 60 + 128).clamp(0, 255).to(at::kByte);
  return {test_image(side, side, 5), level.contiguous()};
}

double mean_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().mean().item<double>();
}

AugmentOptions everything() {
  AugmentOptions options;
  options.paste = options.erase = 0.7;
  options.salt_pepper = 0.01;
  return options;
}

TEST(AugmentChanges, NoiseIsAKnownFunctionOfSeedAndCounter) {
  EXPECT_EQ(ops::noise_bits(0, 1), 0x58f54975U);  // by Python's integers
  EXPECT_EQ(ops::noise_bits(0xfedcba9876543210ULL, 12345), 0x27a9f765U);
  EXPECT_EQ(ops::noise_bits(~uint64_t{0}, 0x80000007U), 0xd52dda86U);
}

/// OpenCV interpolates with weights in 32nds of a pixel and averages other places where it shrinks.
TEST(AugmentChanges, EverythingTogetherIsAsThePlainVersionMakesIt) {
  const Sample sample = test_sample(96, 80), donor = test_sample(120, 100, 3);
  auto options = everything();
  for (uint64_t seed = 0; seed < 12; ++seed) {
    options.mask = seed % 2 == 0 ? MaskValues::soft : MaskValues::binary;
    options.erase_fill = seed % 3 == 0 ? EraseFill::mean : EraseFill::noise;
    const auto drawn = draw_augmentation(options, seed);
    const Sample made = apply_augmentation(sample, kSize, drawn, &donor);
    const PlainAugment plain(sample, kSize, drawn, &donor);
    EXPECT_LE(mean_difference(made.image, plain.image()), 1.0) << seed;
    EXPECT_LE(mean_difference(made.mask, plain.mask()), 0.6) << seed;
    EXPECT_GE(mean_difference(made.image, plain.image().flip(1)), 5.0) << seed;
  }
}

/// No geometry, so not a bit may differ.
TEST(AugmentChanges, PastingErasingAndNoiseAreExact) {
  const Sample sample = test_sample(kSize, kSize), donor = disc_sample(kSize);
  for (const bool binary : {false, true}) {
    Augmentation drawn{.binary_mask = binary, .salt_pepper = 0.1, .noise_seed = 0x1234567890abcdefULL};
    drawn.paste = {.donor = 0, .flip = true, .angle = 0, .zoom = 1, .right = 0, .down = 0};
    drawn.erase = {.left = 0.3, .top = 0.6, .width = 0.4, .height = 0.2, .fill = EraseFill::noise};
    const Sample made = apply_augmentation(sample, kSize, drawn, &donor);
    const PlainAugment plain(sample, kSize, drawn, &donor);
    EXPECT_TRUE(at::equal(made.image, plain.image()));
    EXPECT_TRUE(at::equal(made.mask, plain.mask()));
  }
}

/// Half as large, a quarter of the picture to the right and an eighth up; the disc's radius is a quarter of its
/// picture.
TEST(AugmentChanges, AnObjectIsPastedWhereItIsDrawn) {
  const Sample sample{test_image(kSize, kSize), at::zeros({kSize, kSize}, at::kByte)}, donor = disc_sample(80);
  Augmentation drawn;
  drawn.paste = {.donor = 0, .flip = false, .angle = 0, .zoom = 0.5, .right = 0.25, .down = -0.125};
  const Sample made = apply_augmentation(sample, kSize, drawn, &donor);
  const auto object = made.mask.to(at::kDouble) / 255;
  const auto index = at::arange(kSize, at::kDouble);
  const double area = object.sum().item<double>();
  EXPECT_NEAR((object.sum(0) * index).sum().item<double>() / area, 0.75 * kSize - 0.5, 0.05);
  EXPECT_NEAR((object.sum(1) * index).sum().item<double>() / area, 0.375 * kSize - 0.5, 0.05);
  EXPECT_NEAR(area, std::numbers::pi * 8 * 8, 4);
  const auto beside = (made.mask == 0).unsqueeze(2);
  EXPECT_TRUE(at::equal(made.image * beside, sample.image * beside));
  EXPECT_FALSE(at::equal(made.image, sample.image));
}

TEST(AugmentChanges, ThePastedObjectJoinsTheMask) {
  const Sample sample = test_sample(kSize, kSize), donor = disc_sample(kSize);
  Augmentation drawn;
  drawn.paste = {.donor = 0, .flip = false, .angle = 0, .zoom = 1, .right = 0, .down = 0};
  const Sample made = apply_augmentation(sample, kSize, drawn, &donor);
  EXPECT_TRUE(at::equal(made.mask, at::maximum(sample.mask, donor.mask)));
}

TEST(AugmentChanges, BeyondADonorsBorderNothingIsPasted) {
  const Sample sample{test_image(kSize, kSize), at::zeros({kSize, kSize}, at::kByte)};
  const Sample donor{test_image(kSize, kSize, 2), at::full({kSize, kSize}, 255, at::kByte)};
  Augmentation drawn;
  drawn.paste = {.donor = 0, .flip = false, .angle = 0, .zoom = 0.5, .right = 0, .down = 0};
  const Sample made = apply_augmentation(sample, kSize, drawn, &donor);
  EXPECT_EQ((made.mask == 255).sum().item<int64_t>(), kSize * kSize / 4);
  EXPECT_EQ(made.mask.slice(0, 0, 15).max().item<int64_t>(), 0);
}

TEST(AugmentChanges, ErasingLeavesTheMaskAndWhatIsOutside) {
  const Sample sample = test_sample(kSize, kSize);
  Augmentation drawn{.noise_seed = 77};
  drawn.erase = {.left = 0.25, .top = 0.5, .width = 0.5, .height = 0.25, .fill = EraseFill::noise};
  const auto inside = [](const at::Tensor& image) { return image.slice(0, 32, 48).slice(1, 16, 48); };
  const Sample noisy = apply_augmentation(sample, kSize, drawn);
  auto outside = noisy.image.clone();
  inside(outside).copy_(inside(sample.image));
  EXPECT_TRUE(at::equal(outside, sample.image));
  EXPECT_TRUE(at::equal(noisy.mask, sample.mask));
  const auto noise = inside(noisy.image).to(at::kDouble);
  EXPECT_NEAR(noise.mean().item<double>(), 127.5, 6);  // standard error of 1536 uniform bytes: 1.9
  EXPECT_NEAR(noise.std().item<double>(), 73.9, 3);
  drawn.erase->fill = EraseFill::mean;
  drawn.brightness = 0.9;
  const auto filled = inside(apply_augmentation(sample, kSize, drawn).image).to(at::kDouble);
  const auto mean = sample.image.to(at::kDouble).mean(at::IntArrayRef({0, 1})) * 0.9;
  EXPECT_LE((filled - mean).abs().max().item<double>(), 0.51);
}

TEST(AugmentChanges, SaltAndPepperAreAsFrequentAsToldAndEven) {
  const auto grey = at::full({512, 512}, 100, at::kByte);
  const Sample sample{grey.unsqueeze(2).expand({512, 512, 3}).contiguous(), grey};
  const auto made = apply_augmentation(sample, 512, {.salt_pepper = 0.0015, .noise_seed = 0x9e3779b97f4a7c15ULL});
  const auto salt = (made.mask == 255).sum().item<int64_t>(), pepper = (made.mask == 0).sum().item<int64_t>();
  EXPECT_NEAR(static_cast<double>(salt + pepper), 0.0015 * 512 * 512, 5 * 20);  // five standard deviations
  EXPECT_NEAR(static_cast<double>(salt), static_cast<double>(pepper), 5 * 20);
  EXPECT_EQ((made.mask == 100).sum().item<int64_t>(), 512 * 512 - salt - pepper);
  EXPECT_TRUE(at::equal(made.image, sample.image));
}

TEST(AugmentChanges, ABinaryMaskIsTheSoftOnesThreshold) {
  const Sample sample = test_sample(100, 90);
  AugmentOptions options;
  const auto soft = apply_augmentation(sample, kSize, draw_augmentation(options, 3)).mask;
  options.mask = MaskValues::binary;
  const auto binary = apply_augmentation(sample, kSize, draw_augmentation(options, 3)).mask;
  EXPECT_TRUE(at::equal(binary, (soft >= 128).to(at::kByte) * 255));
  EXPECT_GT(((soft > 0) & (soft < 255)).sum().item<int64_t>(), 0);
  options.enabled = false;
  EXPECT_TRUE(draw_augmentation(options, 3).binary_mask);
}

TEST(AugmentChanges, WhatIsDrawnAnewChangesNoneOfWhatWasDrawnBefore) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto plain = draw_augmentation({}, seed), rich = draw_augmentation(everything(), seed);
    EXPECT_TRUE(!plain.paste && !plain.erase && plain.salt_pepper == 0);
    EXPECT_EQ(plain.flip, rich.flip);
    EXPECT_EQ(plain.angle, rich.angle);
    EXPECT_EQ(plain.left, rich.left);
    EXPECT_EQ(plain.sharpness, rich.sharpness);
    EXPECT_EQ(plain.noise_seed, rich.noise_seed);
  }
}

TEST(AugmentChanges, DrawsStayInTheirRangesAndUseThem) {
  const auto options = everything();
  constexpr int count = 2000;
  int pastes = 0, erases = 0;
  double least_area = 1, most_area = 0, least_aspect = 100, most_aspect = 0, least_zoom = 1, most_right = 0;
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < count; ++seed) {
    const auto drawn = draw_augmentation(options, 104729 * seed);
    seeds.insert(drawn.noise_seed);
    if (const auto& erase = drawn.erase) {
      ++erases;
      EXPECT_GE(std::min(erase->left, erase->top), 0);
      EXPECT_LE(std::max(erase->left + erase->width, erase->top + erase->height), 1 + 1e-12);
      least_area = std::min(least_area, erase->width * erase->height);
      most_area = std::max(most_area, erase->width * erase->height);
      least_aspect = std::min(least_aspect, erase->height / erase->width);
      most_aspect = std::max(most_aspect, erase->height / erase->width);
    }
    if (const auto& paste = drawn.paste) {
      ++pastes;
      EXPECT_LE(std::abs(paste->angle), options.rotate);
      EXPECT_LE(paste->zoom, 1);
      least_zoom = std::min(least_zoom, paste->zoom);
      most_right = std::max(most_right, std::abs(paste->right));
    }
  }
  EXPECT_NEAR(pastes, 0.7 * count, 5 * 21);
  EXPECT_NEAR(erases, 0.7 * count, 5 * 21);
  EXPECT_EQ(seeds.size(), static_cast<std::size_t>(count));
  EXPECT_TRUE(least_area >= 0.02 - 1e-12 && least_area < 0.022) << least_area;
  EXPECT_TRUE(most_area <= 0.2 + 1e-12 && most_area > 0.198) << most_area;
  EXPECT_TRUE(least_aspect >= 1 / 3.3 - 1e-9 && least_aspect < 0.31) << least_aspect;
  EXPECT_TRUE(most_aspect <= 3.3 + 1e-9 && most_aspect > 3.2) << most_aspect;
  EXPECT_TRUE(least_zoom >= 0.5 && least_zoom < 0.51) << least_zoom;
  EXPECT_TRUE(most_right <= 0.25 && most_right > 0.24) << most_right;
}

TEST(AugmentChanges, ALargeRectangleStaysInThePicture) {
  AugmentOptions options;
  options.erase = 1;
  options.erase_min = options.erase_max = 0.9;
  options.erase_aspect = 50;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    const auto erase = *draw_augmentation(options, seed).erase;
    EXPECT_NEAR(erase.width * erase.height, 0.9, 1e-9);
    EXPECT_LE(std::max(erase.left + erase.width, erase.top + erase.height), 1 + 1e-12);
  }
}

TEST(AugmentChanges, EveryOtherSampleIsADonorAsOften) {
  AugmentOptions options;
  EXPECT_FALSE(donor_of(draw_augmentation(options, 1), 2, 5));
  options.paste = 1;
  std::array<int, 5> times{};
  for (uint64_t seed = 0; seed < 4000; ++seed) ++times.at(*donor_of(draw_augmentation(options, seed), 2, 5));
  EXPECT_EQ(times[2], 0);
  for (const std::size_t other : {0, 1, 3, 4}) EXPECT_NEAR(times.at(other), 1000, 5 * 27);
  EXPECT_EQ(donor_of(draw_augmentation(options, 1), 0, 1), 0);
}

TEST(AugmentChanges, WhatCannotBeIsRefused) {
  const Sample sample = test_sample(40, 40);
  Augmentation drawn;
  drawn.paste = {.donor = 0, .flip = false, .angle = 0, .zoom = 1, .right = 0, .down = 0};
  EXPECT_THROW(apply_augmentation(sample, 32, drawn), c10::Error);
  const Sample torn{test_image(10, 12), test_mask(12, 10)};
  EXPECT_THROW(apply_augmentation(sample, 32, drawn, &torn), c10::Error);
  AugmentOptions options;
  const auto read = [&](const char* text) { core::read_options(core::Json::parse(text), {}, options); };
  EXPECT_THROW(read(R"({"erase_min": 0.3, "erase_max": 0.2})"), core::UsageError);
  EXPECT_THROW(read(R"({"mask": "hard"})"), core::UsageError);
}

}  // namespace
}  // namespace codmoe::data
