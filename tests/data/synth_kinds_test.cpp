#include <cmath>
#include <functional>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/synth.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

constexpr int64_t kImages = 6;

SynthOptions of_kind(const std::string& kind, int64_t size = 128) {
  SynthOptions options{.size = size, .seed = 2};
  options.kinds = {{kind, 1.0}};
  return options;
}

std::vector<SynthSample> samples_of(const SynthOptions& options) {
  std::vector<SynthSample> samples;
  for (int64_t i = 0; i < kImages; ++i) samples.push_back(make_synth_sample(options, i));
  return samples;
}

double coverage_of(const at::Tensor& mask) { return (mask > 127).to(at::kDouble).mean().item<double>(); }

/// Mean over the images of a quantity on the object, over the same on the background.
double ratio(const std::string& kind, const std::function<at::Tensor(const at::Tensor& grey)>& quantity) {
  double sum = 0;
  for (const SynthSample& sample : samples_of(of_kind(kind))) {
    const at::Tensor values = quantity(sample.image.to(at::kDouble).mean(2));
    const at::Tensor inside = sample.mask > 127;
    const auto mean = [&](const at::Tensor& where) { return values.masked_select(where).mean().item<double>(); };
    sum += mean(inside) / mean(~inside) / kImages;
  }
  return sum;
}

at::Tensor slope(const at::Tensor& grey) {
  return (grey - grey.roll(1, 0)).square() + (grey - grey.roll(1, 1)).square();
}
at::Tensor departure(const at::Tensor& grey) { return (grey - grey.mean()).square(); }

/// Separate objects, 4-connected.
int64_t count_objects(const at::Tensor& mask) {
  at::Tensor left = (mask > 127).contiguous();
  auto* open = left.data_ptr<bool>();
  const int64_t height = mask.size(0), width = mask.size(1);
  int64_t count = 0;
  for (int64_t start = 0; start < left.numel(); ++start) {
    if (!open[start]) continue;
    ++count;
    std::vector<int64_t> stack{start};
    while (!stack.empty()) {
      const int64_t at = stack.back(), x = at % width, y = at / width;
      stack.pop_back();
      if (!open[at]) continue;
      open[at] = false;
      if (x > 0) stack.push_back(at - 1);
      if (x + 1 < width) stack.push_back(at + 1);
      if (y > 0) stack.push_back(at - width);
      if (y + 1 < height) stack.push_back(at + width);
    }
  }
  return count;
}

TEST(SynthKindsTest, BackgroundMatchingHasTheBackgroundsTexture) {
  EXPECT_GT(ratio("texture", slope), 1.6);
  EXPECT_GT(ratio("background-matching", slope), 0.7);
  EXPECT_LT(ratio("background-matching", slope), 1.4);
}

TEST(SynthKindsTest, DisruptivePatchesAreBold) {
  EXPECT_LT(ratio("texture", departure), 1.3);
  EXPECT_GT(ratio("disruptive", departure), 1.5);
}

TEST(SynthKindsTest, ABlurredEdgeChangesTheImageNearTheOutlineAlone) {
  const SynthSample sharp = make_synth_sample(of_kind("texture"), 0);
  const SynthSample blurred = make_synth_sample(of_kind("blurred-edge"), 0);
  EXPECT_TRUE(at::equal(sharp.mask, blurred.mask));
  const auto far = at::max_pool2d((sharp.mask > 0).to(at::kFloat).view({1, 1, 128, 128}), {41, 41}, {1, 1}, {20, 20})
                       .view({128, 128}) == 0;
  const auto change = (sharp.image.to(at::kFloat) - blurred.image.to(at::kFloat)).abs().mean(2);
  const double near = change.masked_select(~far).mean().item<double>();
  EXPECT_GT(near, 5 * change.masked_select(far).mean().item<double>());
}

TEST(SynthKindsTest, ManyHasManyAndTinyHasOneTinyObject) {
  for (const SynthSample& sample : samples_of(of_kind("many"))) {
    EXPECT_GE(count_objects(sample.mask), 4);
    EXPECT_GE(coverage_of(sample.mask), 0.03 - 1e-3);
  }
  for (const SynthSample& sample : samples_of(of_kind("tiny"))) {
    EXPECT_LE(coverage_of(sample.mask), 0.01);
    EXPECT_GE(coverage_of(sample.mask), 0.0015);
    EXPECT_EQ(count_objects(sample.mask), 1);
  }
}

TEST(SynthKindsTest, AMixHasItsWeightsAndTheImagesOfItsKinds) {
  SynthOptions mixed = of_kind("texture", 32);
  mixed.kinds = {{"texture", 3.0}, {"tiny", 1.0}, {"many", 0.0}};
  int64_t tiny = 0;
  constexpr int64_t kDrawn = 200;
  for (int64_t i = 0; i < kDrawn; ++i) {
    const SynthSample sample = make_synth_sample(mixed, i);
    const bool is_tiny = coverage_of(sample.mask) < 0.02;
    tiny += is_tiny ? 1 : 0;
    const SynthSample alone = make_synth_sample(of_kind(is_tiny ? "tiny" : "texture", 32), i);
    ASSERT_TRUE(at::equal(sample.image, alone.image)) << i;
  }
  EXPECT_NEAR(static_cast<double>(tiny) / kDrawn, 0.25, 0.1);
}

TEST(SynthKindsTest, BadMixesNameTheKey) {
  const auto key_of = [](const std::map<std::string, double>& kinds) {
    SynthOptions options;
    options.kinds = kinds;
    try {
      options.check();
    } catch (const core::BadOption& bad) {
      return bad.key() + ": " + bad.what();
    }
    return std::string();
  };
  EXPECT_TRUE(key_of({{"striped", 1}}).starts_with("kinds: must be of texture, background-matching"));
  EXPECT_TRUE(key_of({{"tiny", 0}}).starts_with("kinds: "));
  EXPECT_TRUE(key_of({}).starts_with("kinds: "));
  EXPECT_EQ(key_of({{"tiny", 0.5}, {"many", 0}}), "");
}

}  // namespace
}  // namespace codmoe::data
