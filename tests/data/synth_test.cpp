#include "codmoe/data/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/dataset.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 24;

/// The first images of the default set, drawn once.
const std::vector<SynthSample>& default_samples() {
  static const auto samples = [] {
    std::vector<SynthSample> drawn;
    for (int64_t i = 0; i < kImages; ++i) drawn.push_back(make_synth_sample({}, i));
    return drawn;
  }();
  return samples;
}

/// Red, green, blue, grey, hue, saturation and value of one pixel, each 0 ... 255.
std::array<double, 7> colour_channels(const uint8_t* rgb) {
  const double r = rgb[0], g = rgb[1], b = rgb[2];
  const double high = std::max({r, g, b}), range = std::max(high - std::min({r, g, b}), 1e-9);
  const double sector = high == r ? (g - b) / range : high == g ? 2 + (b - r) / range : 4 + (r - g) / range;
  const double hue = (sector < 0 ? sector + 6 : sector) * 255 / 6;
  return {r, g, b, 0.299 * r + 0.587 * g + 0.114 * b, hue, range / std::max(high, 1.0) * 255, high};
}

using Histogram = std::array<double, 256>;

/// Best IoU of "every pixel with a value in [low, high]" over all intervals, thresholds in both directions among them.
double best_interval_iou(const Histogram& object, const Histogram& background) {
  double all = 0, best = 0;
  for (const double count : object) all += count;
  for (std::size_t low = 0; low < 256; ++low) {
    double hit = 0, wrong = 0;
    for (std::size_t high = low; high < 256; ++high) {
      hit += object[high];
      wrong += background[high];
      best = std::max(best, hit / (all + wrong));
    }
  }
  return best;
}

/// The best that any channel gives, each image with its own channel and interval: no rule for the set can do better.
double best_colour_iou(const at::Tensor& image, const at::Tensor& mask) {
  std::array<Histogram, 7> object{}, background{};
  const auto* rgb = image.const_data_ptr<uint8_t>();
  const auto* inside = mask.const_data_ptr<uint8_t>();
  for (int64_t pixel = 0; pixel < mask.numel(); ++pixel) {
    const auto channels = colour_channels(rgb + 3 * pixel);
    for (std::size_t i = 0; i < channels.size(); ++i) {
      (inside[pixel] ? object : background)[i][static_cast<std::size_t>(std::min(channels[i] + 0.5, 255.0))] += 1;
    }
  }
  double best = 0;
  for (std::size_t i = 0; i < object.size(); ++i) best = std::max(best, best_interval_iou(object[i], background[i]));
  return best;
}

/// Half the sum of differences of the normalised histograms of object and background, in 16 bins of one channel: 0 for
/// the same, 1 for disjoint.
double total_variation(const SynthSample& sample, int64_t channel) {
  std::array<double, 16> object{}, background{};
  double inside = 0, outside = 0;
  for (int64_t pixel = 0; pixel < sample.mask.numel(); ++pixel) {
    const bool is_object = sample.mask.const_data_ptr<uint8_t>()[pixel] > 0;
    (is_object ? object : background)[sample.image.const_data_ptr<uint8_t>()[3 * pixel + channel] / 16] += 1;
    (is_object ? inside : outside) += 1;
  }
  double sum = 0;
  for (std::size_t bin = 0; bin < 16; ++bin) sum += std::abs(object[bin] / inside - background[bin] / outside) / 2;
  return sum;
}

TEST(SynthTest, NoColourGivesTheObjectAway) {
  double sum = 0;
  for (const SynthSample& sample : default_samples()) {
    sum += best_colour_iou(sample.image, sample.mask);
  }
  RecordProperty("best_colour_iou", std::to_string(sum / kImages));
  EXPECT_LT(sum / kImages, 0.3);
}

TEST(SynthTest, TheColourSearchFindsAnObjectThatIsJustDarker) {
  const SynthSample& sample = default_samples().front();
  const auto darker = at::where(sample.mask.unsqueeze(2) > 0, sample.image / 2, sample.image).to(at::kByte);
  const auto flat = at::where(sample.mask > 0, 90, 120).to(at::kByte).unsqueeze(2).expand({256, 256, 3}).contiguous();
  EXPECT_GT(best_colour_iou(darker, sample.mask), 1.5 * best_colour_iou(sample.image, sample.mask));
  EXPECT_DOUBLE_EQ(best_colour_iou(flat, sample.mask), 1.0);
}

TEST(SynthTest, ObjectAndBackgroundShareTheirHistogram) {
  double sum = 0, most = 0;
  for (const SynthSample& sample : default_samples()) {
    for (int64_t channel = 0; channel < 3; ++channel) {
      const double distance = total_variation(sample, channel);
      sum += distance / (3 * kImages);
      most = std::max(most, distance);
    }
  }
  RecordProperty("mean_distance", std::to_string(sum));
  RecordProperty("most_distance", std::to_string(most));
  EXPECT_LT(sum, 0.05);
  EXPECT_LT(most, 0.15);
}

TEST(SynthTest, TextureGivesTheObjectAway) {
  int finer = 0;
  for (const SynthSample& sample : default_samples()) {
    const auto grey = sample.image.to(at::kDouble).mean(2);
    const auto slope = grey.slice(1, 2).sub(grey.slice(1, 0, -2)).slice(0, 1, -1).square() +
                       grey.slice(0, 2).sub(grey.slice(0, 0, -2)).slice(1, 1, -1).square();
    const auto inside = sample.mask.slice(0, 1, -1).slice(1, 1, -1) > 0;
    const double ratio = (slope.masked_select(inside).mean() / slope.masked_select(~inside).mean()).item<double>();
    finer += ratio > 1.3 ? 1 : 0;
  }
  EXPECT_GE(finer, kImages - 2);
}

TEST(SynthTest, ObjectsCoverWhatTheOptionsSay) {
  double least = 1, most = 0;
  for (const SynthSample& sample : default_samples()) {
    const auto& mask = sample.mask;
    EXPECT_TRUE(((mask == 0) | (mask == 255)).all().item<bool>());
    const double coverage = (mask > 0).to(at::kDouble).mean().item<double>();
    least = std::min(least, coverage);
    most = std::max(most, coverage);
  }
  EXPECT_GE(least, 0.03 - 1e-4);
  EXPECT_LE(most, 0.25 + 1e-4);
  EXPECT_LT(least, 0.08);
  EXPECT_GT(most, 0.18);
}

TEST(SynthTest, AFunctionOfSeedAndIndex) {
  SynthOptions options;
  options.size = 96;
  const SynthSample a = make_synth_sample(options, 3);
  options.count = 7;
  const SynthSample b = make_synth_sample(options, 3), next = make_synth_sample(options, 4);
  options.seed = 1;
  const SynthSample other = make_synth_sample(options, 3);
  EXPECT_TRUE(at::equal(a.image, b.image) && at::equal(a.mask, b.mask));
  EXPECT_FALSE(at::equal(a.image, next.image) || at::equal(a.mask, next.mask));
  EXPECT_FALSE(at::equal(a.image, other.image) || at::equal(a.mask, other.mask));
}

class SynthFilesTest : public FolderTest {};

TEST_F(SynthFilesTest, WritesADatasetWithLists) {
  SynthOptions options;
  options.count = 6;
  options.held_out = 2;
  options.size = 48;
  int64_t last = 0;
  write_synth(dir_ / "set", options, [&](int64_t written) { EXPECT_EQ(written, ++last); });
  EXPECT_EQ(last, 6);
  const Dataset all({dir_ / "set", {}}), val({dir_ / "set", dir_ / "set/val.txt"});
  EXPECT_EQ(all.size(), 6);
  EXPECT_EQ(Dataset({dir_ / "set", dir_ / "set/train.txt"}).size(), 4);
  ASSERT_EQ(val.size(), 2);
  EXPECT_EQ(val.item(1).name, "synth_00005");
  EXPECT_TRUE(at::equal(read_image(val.item(1).image), make_synth_sample(options, 5).image));
  EXPECT_TRUE(at::equal(read_mask(val.item(1).mask), make_synth_sample(options, 5).mask));
  const std::string before = read_bytes(val.item(0).image);
  write_synth(dir_ / "set", options);
  EXPECT_EQ(read_bytes(val.item(0).image), before);
}

TEST_F(SynthFilesTest, DoesNotMixTwoSets) {
  write_bytes(dir_ / "Imgs/holiday.jpg", "");
  const std::string error = error_of([&] { write_synth(dir_, {.count = 2, .size = 32}); });
  EXPECT_TRUE(error.find("holiday.jpg") != std::string::npos) << error;
}

TEST_F(SynthFilesTest, AFolderThatCannotBeMadeIsNamed) {
  write_bytes(dir_ / "file", "");
  const std::string error = error_of([&] { write_synth(dir_ / "file", {.count = 2, .size = 32}); });
  EXPECT_TRUE(error.find((dir_ / "file/Imgs").string()) != std::string::npos) << error;
}

TEST(SynthOptionsTest, BadCombinationsNameTheKey) {
  const auto key_of = [](const SynthOptions& options) {
    try {
      options.check();
    } catch (const core::BadOption& bad) {
      return bad.key();
    }
    return std::string();
  };
  EXPECT_EQ(key_of({.count = 3, .held_out = 3}), "held_out");
  EXPECT_EQ(key_of({.min_coverage = 0.3, .max_coverage = 0.2}), "max_coverage");
  EXPECT_EQ(key_of({}), "");
}

}  // namespace
}  // namespace codmoe::data
