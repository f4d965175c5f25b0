#include "codmoe/data/augment.h"

#include "codmoe/data/image_file.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

/// A smooth photograph: red grows to the right, green downwards, blue with both.
at::Tensor smooth_image(int64_t height, int64_t width) {
  const auto y =
      at::arange(height, at::kDouble).div(static_cast<double>(height)).view({height, 1}).expand({height, width});
  const auto x =
      at::arange(width, at::kDouble).div(static_cast<double>(width)).view({1, width}).expand({height, width});
  return at::stack({x * 250, y * 250, (x + y) * 120}, 2).to(at::kByte).contiguous();
}

double mean_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().mean().item<double>();
}

AugmentOptions geometry_only() {
  AugmentOptions options;
  options.brightness = options.contrast = options.saturation = options.sharpness = 0;
  return options;
}

TEST(AugmentTest, NothingDrawnIsAPlainResize) {
  const Sample sample{test_image(60, 45), test_mask(60, 45)};
  const Sample same = apply_augmentation(sample, 32, {});
  EXPECT_TRUE(at::equal(same.image, resize(sample.image, 32, 32, Interpolation::area)));
  EXPECT_TRUE(at::equal(same.mask, resize(sample.mask, 32, 32, Interpolation::area)));
}

TEST(AugmentTest, SwitchedOffDrawsNothing) {
  AugmentOptions off;
  off.enabled = false;
  AugmentOptions zero = geometry_only();
  zero.flip = zero.rotate = zero.crop = zero.scale = 0;
  for (const auto& options : {off, zero}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      const Augmentation drawn = draw_augmentation(options, seed);
      EXPECT_FALSE(drawn.moves() || drawn.flip || drawn.colours()) << seed;
    }
  }
}

TEST(AugmentTest, FlipIsTheExactMirrorImage) {
  const Sample sample{test_image(50, 70), test_mask(50, 70)};
  Augmentation turned;
  turned.angle = 9;
  turned.zoom = 1.1;
  Augmentation both = turned;
  both.flip = true;
  for (const auto& [plain, flipped] :
       {std::pair(Augmentation{}, Augmentation{.flip = true}), std::pair(turned, both)}) {
    const Sample a = apply_augmentation(sample, 40, plain), b = apply_augmentation(sample, 40, flipped);
    EXPECT_TRUE(at::equal(b.image, a.image.flip(1)));
    EXPECT_TRUE(at::equal(b.mask, a.mask.flip(1)));
    EXPECT_FALSE(at::equal(b.image, a.image));
  }
}

TEST(AugmentTest, PhotographAndMaskMoveTogether) {
  const auto mask = test_mask(180, 240);
  const Sample sample{mask.unsqueeze(2).expand({180, 240, 3}).contiguous(), mask};
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Sample moved = apply_augmentation(sample, 64, draw_augmentation(geometry_only(), seed));
    for (int64_t channel = 0; channel < 3; ++channel) {
      EXPECT_TRUE(at::equal(moved.image.select(2, channel), moved.mask)) << "seed " << seed;
    }
  }
}

TEST(AugmentTest, TheWarpAgreesWithTheResizeWhereNothingMoves) {
  const Sample sample{smooth_image(150, 200), test_mask(150, 200)};
  for (const int64_t size : {40, 64, 120, 300}) {
    Augmentation hardly;
    hardly.angle = 1e-9;  // takes the way of the warp
    const Sample warped = apply_augmentation(sample, size, hardly), plain = apply_augmentation(sample, size, {});
    EXPECT_LT(mean_difference(warped.image, plain.image), 1.0) << size;
    EXPECT_LT(mean_difference(warped.mask, plain.mask), 3.0) << size;
  }
}

TEST(AugmentTest, AQuarterTurnIsCounterClockwise) {
  const Sample sample{smooth_image(64, 64), test_mask(64, 64)};
  Augmentation quarter;
  quarter.angle = 90;
  const Sample turned = apply_augmentation(sample, 64, quarter);
  EXPECT_LT(mean_difference(turned.image, sample.image.rot90(1, {0, 1})), 0.5);
  EXPECT_LT(mean_difference(turned.mask, sample.mask.rot90(1, {0, 1})), 0.5);
}

TEST(AugmentTest, ACropShowsWhatItKeeps) {
  const Sample sample{smooth_image(100, 200), test_mask(100, 200)};
  Augmentation crop;
  crop.left = 0.25;
  crop.top = 0.1;
  crop.width = 0.5;
  crop.height = 0.8;
  const Sample kept = apply_augmentation(sample, 50, crop);
  const auto cut = [](const at::Tensor& t) { return t.slice(0, 10, 90).slice(1, 50, 150).contiguous(); };
  EXPECT_LT(mean_difference(kept.image, resize(cut(sample.image), 50, 50, Interpolation::area)), 1.0);
  EXPECT_LT(mean_difference(kept.mask, resize(cut(sample.mask), 50, 50, Interpolation::area)), 3.0);
}

TEST(AugmentTest, ZoomEnlargesTheObject) {
  auto mask = at::zeros({100, 100}, at::kByte);
  mask.slice(0, 40, 60).slice(1, 40, 60).fill_(255);
  const Sample sample{smooth_image(100, 100), mask};
  Augmentation zoom;
  zoom.zoom = 1.5;
  const double part = apply_augmentation(sample, 100, zoom).mask.to(at::kDouble).mean().item<double>() / 255;
  EXPECT_NEAR(part, 0.04 * 1.5 * 1.5, 0.003);
}

TEST(AugmentTest, ColoursFollowTheirDefinition) {
  const Sample sample{smooth_image(32, 32), test_mask(32, 32)};
  Augmentation colour;
  colour.brightness = 0.8;
  colour.contrast = 1.2;
  colour.saturation = 0.5;
  const Sample changed = apply_augmentation(sample, 32, colour);
  const auto x = sample.image.to(at::kDouble);
  const auto luma = (x * at::tensor({0.299, 0.587, 0.114}, at::kDouble)).sum(2, true);
  const auto faded = luma + 0.5 * (x - luma);
  const auto wanted = (0.8 * (luma.mean() + 1.2 * (faded - luma.mean()))).clamp(0, 255);
  EXPECT_LT((changed.image.to(at::kDouble) - wanted).abs().max().item<double>(), 1.01);
  EXPECT_TRUE(at::equal(changed.mask, sample.mask));
}

TEST(AugmentTest, SharpnessActsAgainstSmoothing) {
  const Sample sample{test_image(32, 32), test_mask(32, 32)};
  const auto roughness = [](const at::Tensor& image) {
    return image.to(at::kDouble).diff(1, 1).abs().mean().item<double>();
  };
  Augmentation smooth, sharp;
  smooth.sharpness = 0.0;
  sharp.sharpness = 1.5;
  EXPECT_LT(roughness(apply_augmentation(sample, 32, smooth).image), roughness(sample.image));
  EXPECT_GT(roughness(apply_augmentation(sample, 32, sharp).image), roughness(sample.image));
}

TEST(AugmentTest, DrawsStayInTheirRangesAndUseThem) {
  const AugmentOptions options;
  double least_angle = 90, most_angle = -90;
  int flips = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const Augmentation drawn = draw_augmentation(options, seed * 7919);
    EXPECT_LE(drawn.left + drawn.width, 1.0 + 1e-12);
    EXPECT_LE(drawn.top + drawn.height, 1.0 + 1e-12);
    EXPECT_GE(std::min(drawn.width, drawn.height), 1 - options.crop);
    EXPECT_LE(std::max(drawn.zoom, 1 / drawn.zoom), 1 + options.scale + 1e-12);
    EXPECT_LE(std::abs(drawn.brightness - 1), options.brightness);
    least_angle = std::min(least_angle, drawn.angle);
    most_angle = std::max(most_angle, drawn.angle);
    flips += drawn.flip ? 1 : 0;
  }
  EXPECT_GE(least_angle, -options.rotate);
  EXPECT_LT(least_angle, -0.9 * options.rotate);
  EXPECT_LE(most_angle, options.rotate);
  EXPECT_GT(most_angle, 0.9 * options.rotate);
  EXPECT_NEAR(flips, 200, 50);
}

TEST(AugmentTest, PhotographAndMaskOfTwoSizesAreRejected) {
  EXPECT_THROW(apply_augmentation({test_image(10, 12), test_mask(12, 10)}, 8, {}), c10::Error);
}

}  // namespace
}  // namespace codmoe::data
