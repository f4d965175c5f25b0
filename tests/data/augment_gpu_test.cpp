// The augmentation kernels beside a slow plain version, and beside the CPU's where not a bit may differ.
#include "codmoe/ops/augment.h"

#include <cstring>

#include "codmoe/data/augment_row.h"
#include "plain_augment.h"
#include "support/cuda.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kSize = 64;

/// Detail of about four pixels.
Sample test_sample(int64_t height, int64_t width, int64_t kind) {
  const auto coarse = test_image(height / 4, width / 4, kind);
  return {resize(coarse, height, width, Interpolation::bilinear), test_mask(height, width)};
}

class AugmentGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    lay_out();
  }

  /// One behind the other, as a batch's bytes on the device.
  void lay_out() {
    begins_.clear();
    flat_.clear();
    int64_t bytes = 0;
    for (const auto& sample : {sample_, donor_}) {
      for (const auto& map : {sample.image, sample.mask}) {
        begins_.push_back(bytes);
        bytes += map.numel();
        flat_.push_back(map.flatten());
      }
    }
  }

  ops::AugmentSource source(const Sample& sample, std::size_t first) const {
    return {.image = begins_[first],
            .mask = begins_[first + 1],
            .height = static_cast<int32_t>(sample.mask.size(0)),
            .width = static_cast<int32_t>(sample.mask.size(1))};
  }

  /// All as one batch, on the CPU again.
  ops::AugmentedBatch on_gpu(const std::vector<Augmentation>& drawn) const {
    const auto rows = at::empty({std::ssize(drawn), sizeof(ops::AugmentRow)}, at::kByte);
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      const auto row = augment_row(drawn[i], kSize, source(sample_, 0), source(donor_, 2));
      std::memcpy(rows.mutable_data_ptr<uint8_t>() + i * sizeof(row), &row, sizeof(row));
    }
    const auto made = ops::augment(at::cat(flat_).cuda(), rows.cuda(), kSize);
    return {made.images.cpu().permute({0, 2, 3, 1}).contiguous(), made.masks.cpu().squeeze(1)};
  }

  /// Mean and largest difference of grey levels.
  static void expect_close(const at::Tensor& actual, const at::Tensor& expected, double mean, int64_t largest) {
    const auto difference = (actual.to(at::kLong) - expected.to(at::kLong)).abs();
    EXPECT_LE(difference.to(at::kDouble).mean().item<double>(), mean);
    EXPECT_LE(difference.max().item<int64_t>(), largest);
  }

  Sample sample_ = test_sample(96, 80, 0), donor_ = test_sample(160, 200, 3);
  std::vector<int64_t> begins_;
  std::vector<at::Tensor> flat_;
};

/// float32 beside float64: a value near a half may be rounded to the other side, and sharpening doubles that.
TEST_F(AugmentGpu, EverythingTogetherIsAsThePlainVersionMakesIt) {
  AugmentOptions options;
  options.paste = options.erase = 0.7;
  options.salt_pepper = 0.01;
  std::vector<Augmentation> drawn;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    options.mask = seed % 2 == 0 ? MaskValues::soft : MaskValues::binary;
    options.erase_fill = seed % 3 == 0 ? EraseFill::mean : EraseFill::noise;
    options.scale = seed < 6 ? 0.15 : 1.5;  // shrinks up to five times where an object is pasted
    drawn.push_back(draw_augmentation(options, seed));
  }
  const auto made = on_gpu(drawn);
  for (int64_t i = 0; i < std::ssize(drawn); ++i) {
    const auto& change = drawn[static_cast<std::size_t>(i)];
    const PlainAugment plain(sample_, kSize, change, &donor_);
    expect_close(made.images[i], plain.image(), 0.05, 4);
    const Sample on_cpu = apply_augmentation(sample_, kSize, change, &donor_);  // interpolates in 32nds of a pixel
    expect_close(made.images[i], on_cpu.image, 1.0, 255);
    if (change.binary_mask) {
      EXPECT_LE((made.masks[i] != plain.mask()).to(at::kDouble).mean().item<double>(), 2e-3) << i;
    } else {
      expect_close(made.masks[i], plain.mask(), 0.01, 1);
    }
  }
}

TEST_F(AugmentGpu, PastingErasingAndNoiseAreThoseOfTheCpuBitByBit) {
  sample_ = test_sample(kSize, kSize, 1);
  donor_ = test_sample(kSize, kSize, 2);
  lay_out();
  Augmentation drawn{.salt_pepper = 0.1, .noise_seed = 0xfedcba9876543210ULL};
  drawn.paste = {.donor = 0, .flip = true, .angle = 0, .zoom = 1, .right = 0, .down = 0};
  drawn.erase = {.left = 0.3, .top = 0.6, .width = 0.4, .height = 0.2, .fill = EraseFill::noise};
  Augmentation binary = drawn;
  binary.binary_mask = true;
  const auto made = on_gpu({drawn, binary});
  for (int64_t i = 0; i < 2; ++i) {
    const Sample expected = apply_augmentation(sample_, kSize, i == 0 ? drawn : binary, &donor_);
    EXPECT_TRUE(at::equal(made.images[i], expected.image)) << i;
    EXPECT_TRUE(at::equal(made.masks[i], expected.mask)) << i;
  }
}

TEST_F(AugmentGpu, RefusesRowsOfAnotherSize) {
  const auto pixels = at::cat(flat_).cuda(), rows = at::zeros({2, 40}, pixels.options());
  EXPECT_THROW(ops::augment(pixels, rows, kSize), c10::Error);
  EXPECT_THROW(ops::augment(pixels.cpu(), rows, kSize), c10::Error);
}

}  // namespace
}  // namespace codmoe::data
