// Samples on the GPU, changed there, beside the same read and changed on the CPU.
#include "batches.h"
#include "codmoe/data/synth.h"
#include "support/cuda.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

const c10::Device kGpu{c10::kCUDA, 0};

class ResidentGpu : public FolderTest {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    FolderTest::SetUp();
    write_synth(dir_ / "set", {.count = 10, .size = 192, .seed = 3});
    dataset_ = std::make_shared<Dataset>(DatasetOptions{dir_ / "set", {}});
    options_ = {.batch_size = 4, .size = 160, .threads = 2, .prefetch = 2};
  }

  std::vector<Batch> epoch(c10::Device device, Cache cache, const AugmentOptions& augment, int64_t first = 0) const {
    const auto source = make_batch_source(dataset_, options_, augment, cache, 5, device);
    source->start(1, first);
    return rest_of(*source);
  }

  struct Tolerance {
    double images, masks;  // mean grey levels
  };
  void expect_alike(const AugmentOptions& augment, Tolerance tolerance) const;

  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
};

double mean_deviation(const at::Tensor& a, const at::Tensor& b) {
  return (a.cpu().to(at::kDouble) - b.cpu().to(at::kDouble)).abs().mean().item<double>();
}

void ResidentGpu::expect_alike(const AugmentOptions& augment, Tolerance tolerance) const {
  const auto expected = epoch(c10::kCPU, Cache::none, augment), actual = epoch(kGpu, Cache::gpu, augment);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_EQ(actual[i].names, expected[i].names);
    EXPECT_TRUE(actual[i].images.is_cuda());
    EXPECT_EQ(actual[i].images.sizes(), expected[i].images.sizes());
    EXPECT_LE(mean_deviation(actual[i].images, expected[i].images), tolerance.images) << i;
    EXPECT_LE(mean_deviation(actual[i].masks, expected[i].masks), tolerance.masks) << i;
    EXPECT_GE(mean_deviation(actual[i].images, expected[i].images.flip(3)), 5.0) << i;
  }
}

/// OpenCV interpolates with weights in 32ths of a pixel and rounds them; so a grey level or two of noisy pictures.
TEST_F(ResidentGpu, ChangesAsTheCpuDoes) {
  AugmentOptions geometry;
  geometry.brightness = geometry.contrast = geometry.saturation = geometry.sharpness = 0;
  AugmentOptions colours;
  colours.rotate = 1e-9;  // the way of the warp on the CPU too
  colours.flip = colours.crop = colours.scale = 0;
  AugmentOptions everything;
  everything.paste = everything.erase = 0.5;
  everything.salt_pepper = 0.01;
  options_.scales = {0.8, 1.0};
  for (const auto& augment : {AugmentOptions{}, geometry, colours, everything}) {
    expect_alike(augment, {.images = 1.0, .masks = 0.5});
  }
}

/// What shrinks to less than a half is averaged first: by the CPU in the picture's own blocks of pixels, by the GPU
/// around each pixel of the batch, which blurs noise a little less.
TEST_F(ResidentGpu, ShrinksNearlyAsTheCpuDoes) {
  options_.size = 64;
  expect_alike({}, {.images = 4.0, .masks = 2.0});
}

TEST_F(ResidentGpu, TellsTheBytesThatStayOnTheDevice) {
  const auto bytes = [&](Cache cache) {
    return make_batch_source(dataset_, options_, {}, cache, 5, kGpu)->device_bytes();
  };
  EXPECT_EQ(bytes(Cache::gpu), 10 * 192 * 192 * 4);  // photographs and masks
  EXPECT_EQ(bytes(Cache::ram), 0);
}

TEST_F(ResidentGpu, GivesTheSameBytesAgainAndAfterAResume) {
  const auto all = epoch(kGpu, Cache::gpu, {});
  expect_same(epoch(kGpu, Cache::gpu, {}), all);
  expect_same(epoch(kGpu, Cache::gpu, {}, 2), {all[2]});
}

}  // namespace
}  // namespace codmoe::data
