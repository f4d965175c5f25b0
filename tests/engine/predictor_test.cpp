#include "codmoe/engine/predictor.h"

#include <ATen/ATen.h>

#include <fstream>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"
#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

/// The tiny detector with random weights; the same each time.
Predictor make_predictor(int64_t size, const TestTimeOptions& test_time = {}) {
  at::manual_seed(4);
  const auto options = testing::small_options("unused");
  return {model::Detector(options.model), c10::kCPU, size, options.engine, test_time};
}

at::Tensor photograph(int64_t seed, int64_t height = 64, int64_t width = 64) {
  at::manual_seed(static_cast<uint64_t>(seed));
  const auto coarse = at::randint(256, {height / 8, width / 8, 3}, at::kByte);
  return data::resize(coarse, height, width, data::Interpolation::bilinear);
}

at::Tensor map_of(Predictor predictor, const at::Tensor& image) {
  return predictor.predict({predictor.prepare(image)}).maps().front();
}

int64_t largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kInt) - b.to(at::kInt)).abs().max().item<int64_t>();
}

TEST(Predictor, MapsHaveTheImagesOwnSizes) {
  auto predictor = make_predictor(64);
  const auto maps =
      predictor.predict({predictor.prepare(photograph(1, 40, 72)), predictor.prepare(photograph(2, 96, 48))}).maps();
  ASSERT_EQ(maps.size(), 2U);
  EXPECT_EQ(maps[0].sizes(), (std::vector<int64_t>{40, 72}));
  EXPECT_EQ(maps[1].sizes(), (std::vector<int64_t>{96, 48}));
  EXPECT_GT(maps[0].max().item<int64_t>(), maps[0].min().item<int64_t>());
  EXPECT_LE(largest_difference(maps[1], map_of(make_predictor(64), photograph(2, 96, 48))), 1);  // not each other's
}

TEST(TestTime, MirroringTheImageMirrorsItsMap) {
  const TestTimeOptions flip{.tta = TestTimeViews::flip};
  const auto image = photograph(3);
  const auto map = map_of(make_predictor(64, flip), image);
  const auto mirrored = map_of(make_predictor(64, flip), image.flip(1).contiguous()).flip(1);
  EXPECT_LE(largest_difference(map, mirrored), 1);
  EXPECT_GT(largest_difference(map, map_of(make_predictor(64), image)), 1) << "one view already is symmetric";
}

TEST(TestTime, ScalesAreTheMeanOfTheirPredictions) {
  const auto image = photograph(5, 128, 96);
  const auto large = map_of(make_predictor(64), image).to(at::kFloat);
  const auto small = map_of(make_predictor(32), image).to(at::kFloat);
  EXPECT_GT(largest_difference(large, small), 2);
  const auto both = map_of(make_predictor(64, {.scales = {1.0, 0.5}}), image).to(at::kFloat);
  EXPECT_LE((both - (large + small) / 2).abs().max().item<float>(), 1.01F);
}

TEST(TestTime, IsDescribedWhereItChangesTheMaps) {
  EXPECT_EQ(describe({}), "");
  EXPECT_EQ(describe({.tta = TestTimeViews::flip}), "mean over the image and its mirror image, at scale 1");
  EXPECT_EQ(describe({.scales = {0.75, 1, 1.25}}), "mean over the image at scales 0.75, 1, 1.25");
}

TEST(TestTime, SizesAreMultiplesOfTheStride) {
  EXPECT_EQ(scaled_size(350, 1.0), 350);
  EXPECT_EQ(scaled_size(352, 0.75), 256);  // 264
  EXPECT_EQ(scaled_size(352, 1.25), 448);  // 440
  EXPECT_EQ(scaled_size(32, 0.25), 32);
  EXPECT_THROW((TestTimeOptions{.scales = {}}).check(), core::BadOption);
  EXPECT_THROW((TestTimeOptions{.scales = {1, 4.5}}).check(), core::BadOption);
}

class PredictFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    for (int64_t i = 0; i < 7; ++i) {
      files_.push_back(folder_ / (std::to_string(i) + ".png"));
      data::write_png(files_.back(), photograph(i, 40 + 8 * i, 64));
    }
    std::ofstream(files_[4]) << "no picture";
  }

  test::TemporaryFolder folder_;
  std::vector<fs::path> files_;
};

TEST_F(PredictFiles, GoInOrderPastABrokenOne) {
  for (const int64_t batch_size : {1, 3, 50}) {
    auto predictor = make_predictor(64);
    std::vector<std::size_t> seen, broken;
    predict_files(predictor, files_,
                  {.batch_size = batch_size,
                   .threads = 3,
                   .keep_images = true,
                   .on_broken =
                       [&](std::size_t file, const std::exception& error) {
                         broken.push_back(file);
                         EXPECT_NE(std::string(error.what()).find("4.png"), std::string::npos) << error.what();
                       }},
                  [&](const std::vector<FilePrediction>& predictions) {
                    EXPECT_LE(std::ssize(predictions), batch_size);
                    for (const auto& predicted : predictions) {
                      seen.push_back(predicted.file);
                      const auto image = data::read_image(files_[predicted.file]);
                      EXPECT_TRUE(predicted.image.equal(image));
                      EXPECT_LE(largest_difference(predicted.map_hw, map_of(make_predictor(64), image)), 1);
                      EXPECT_EQ(predicted.expert_use.size(), predictor.layers().size());
                    }
                  });
    EXPECT_EQ(seen, (std::vector<std::size_t>{0, 1, 2, 3, 5, 6}));
    EXPECT_EQ(broken, (std::vector<std::size_t>{4}));
  }
}

TEST_F(PredictFiles, ABrokenOneIsThrownWhereNobodyHears) {
  auto predictor = make_predictor(64);
  EXPECT_THROW(predict_files(predictor, files_, {.batch_size = 2}, [](const auto&) {}), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
