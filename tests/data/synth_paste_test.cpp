#include "codmoe/core/options.h"
#include "codmoe/data/synth.h"
#include "odd_files.h"

namespace codmoe::data {
namespace {

/// Brown, striped discs, and backgrounds of smooth blue to green.
class PasteTest : public FolderTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(dir_ / "backgrounds");
    const auto y = at::arange(60).view({60, 1}), x = at::arange(60).view({1, 60});
    const auto inside = (y - 30).square() + (x - 30).square() < 400;
    const auto stripes = (y / 2 + x / 2).floor().remainder(2) * 60;
    const auto disc = at::stack({stripes + 150, stripes + 60, 20 + 0 * stripes, inside * 255}, 2).to(at::kByte);
    write_bytes(dir_ / "cutouts/disc.png", png_bytes(disc, 8, 6));
    const auto wave = (at::sin(at::arange(160) / 9.0) * 30 + 100).view({160, 1}).expand({160, 200});
    write_png(dir_ / "backgrounds/sea.png", at::stack({wave * 0 + 30, wave, wave + 60}, 2).to(at::kByte));
    options_ = {.size = 128, .min_coverage = 0.08, .max_coverage = 0.08, .max_objects = 1, .soft_edge = 0};
    options_.cutouts = dir_ / "cutouts";
    options_.backgrounds = dir_ / "backgrounds";
  }

  SynthSample sample(double match, int64_t index = 0) {
    options_.match = match;
    return make_synth_sample(options_, index);
  }
  static std::array<double, 3> mean_colour(const SynthSample& sample, bool on_object) {
    std::array<double, 3> mean{};
    const at::Tensor where = (sample.mask > 127) == on_object;
    for (int64_t c = 0; c < 3; ++c) {
      mean[static_cast<std::size_t>(c)] =
          sample.image.select(2, c).masked_select(where).to(at::kDouble).mean().item<double>();
    }
    return mean;
  }
  static double roughness(const at::Tensor& image, const at::Tensor& where) {
    const auto grey = image.to(at::kDouble).mean(2);
    const auto steps = (grey - grey.roll(2, 1)).square();
    return steps.masked_select(where).mean().item<double>();
  }
  std::string error() {
    return error_of([&] { sample(0); });
  }

  SynthOptions options_;
};

TEST_F(PasteTest, WithoutMatchingTheObjectKeepsItsColours) {
  const SynthSample pasted = sample(0);
  EXPECT_NEAR((pasted.mask > 127).to(at::kDouble).mean().item<double>(), 0.08, 0.01);
  const auto object = mean_colour(pasted, true), background = mean_colour(pasted, false);
  EXPECT_NEAR(object[0], 180, 15);
  EXPECT_NEAR(object[2], 20, 15);
  EXPECT_NEAR(background[0], 30, 3);
  EXPECT_NEAR(background[2] - background[1], 60, 3);
}

TEST_F(PasteTest, MatchingTakesColourAndTextureOfTheSurroundings) {
  const SynthSample plain = sample(0), matched = sample(1);
  EXPECT_TRUE(at::equal(plain.mask, matched.mask));
  const auto object = mean_colour(matched, true), background = mean_colour(matched, false);
  for (std::size_t c = 0; c < 3; ++c) EXPECT_NEAR(object[c], background[c], 25) << c;
  const auto core = at::max_pool2d((plain.mask < 128).to(at::kFloat).view({1, 1, 128, 128}), {7, 7}, {1, 1}, {3, 3})
                        .view({128, 128}) == 0;
  EXPECT_LT(roughness(matched.image, core), 0.3 * roughness(plain.image, core));
}

TEST_F(PasteTest, AFunctionOfSeedAndIndex) {
  EXPECT_TRUE(at::equal(sample(0.5, 3).image, sample(0.5, 3).image));
  EXPECT_FALSE(at::equal(sample(0.5, 3).image, sample(0.5, 4).image));
}

TEST_F(PasteTest, ObjectsAlwaysFit) {
  options_.size = 32;
  options_.soft_edge = 0.05;
  options_.max_objects = 3;
  options_.min_coverage = 0.001;
  options_.max_coverage = 0.9;
  for (int64_t i = 0; i < 40; ++i) EXPECT_TRUE((sample(0.8, i).mask > 127).any().item<bool>()) << i;
}

TEST_F(PasteTest, FilesThatCannotServeAreNamed) {
  const auto holds = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  write_png(dir_ / "cutouts/disc.png", test_image(20, 20));
  EXPECT_TRUE(holds(error(), "disc.png") && holds(error(), "alpha")) << error();
  write_bytes(dir_ / "cutouts/disc.png", png_bytes(at::zeros({20, 20, 4}, at::kByte), 8, 6));
  EXPECT_TRUE(holds(error(), "disc.png") && holds(error(), "transparent")) << error();
  std::filesystem::remove(dir_ / "cutouts/disc.png");
  EXPECT_TRUE(holds(error(), "cutouts: has no images")) << error();
  std::filesystem::remove(dir_ / "cutouts");
  EXPECT_TRUE(holds(error(), "cutouts: cannot be listed")) << error();
  options_.backgrounds.clear();
  EXPECT_THROW(options_.check(), core::BadOption);
}

}  // namespace
}  // namespace codmoe::data
