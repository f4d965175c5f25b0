#include "codmoe/data/resized_batches.h"

#include "codmoe/data/pack.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

class ResizedBatches : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < 5; ++i) write_pair(dir_ / "set", std::to_string(i), 20 + 17 * i, 90 - 11 * i, i);
  }
  std::vector<Batch> read(const std::filesystem::path& dir) const {
    return resized_batches(std::make_shared<Dataset>(DatasetOptions{dir, {}}), options_, c10::kCPU);
  }

  LoaderOptions options_{.batch_size = 2, .size = 24, .scales = {0.5, 2.0}, .threads = 2, .drop_last = true};
};

TEST_F(ResizedBatches, HoldEveryFileInOrderResizedOnce) {
  const auto batches = read(dir_ / "set");
  ASSERT_EQ(batches.size(), 3U);
  int64_t index = 0;
  for (const auto& batch : batches) {
    for (int64_t row = 0; row < batch.images.size(0); ++row, ++index) {
      const auto name = std::to_string(index);
      EXPECT_EQ(batch.names[static_cast<std::size_t>(row)], name);
      const auto image = resize(read_image(dir_ / "set/Imgs" / (name + ".png")), 24, 24, Interpolation::area);
      const auto mask = resize(read_mask(dir_ / "set/GT" / (name + ".png")), 24, 24, Interpolation::area);
      EXPECT_TRUE(batch.images[row].equal(image.permute({2, 0, 1}))) << name;
      EXPECT_TRUE(batch.masks[row][0].equal(mask)) << name;
    }
  }
  EXPECT_EQ(index, 5);
}

TEST_F(ResizedBatches, TakeAPackThatIsReducedForTheirSizeAndNoSmallerOne) {
  const auto dataset = std::make_shared<Dataset>(DatasetOptions{dir_ / "set", {}});
  write_pack(dataset, 24, dir_ / "fits.safetensors");
  write_pack(dataset, 12, dir_ / "small.safetensors");
  EXPECT_EQ(read(dir_ / "fits.safetensors").size(), 3U);
  const auto error = error_of([&] { read(dir_ / "small.safetensors"); });
  EXPECT_NE(error.find("samples for 24 are needed"), std::string::npos) << error;
}

TEST_F(ResizedBatches, DamagedFileIsNamed) {
  std::ofstream(dir_ / "set/GT/3.png") << "no picture";
  const auto error = error_of([&] { read(dir_ / "set"); });
  EXPECT_NE(error.find((dir_ / "set/GT/3.png").string()), std::string::npos) << error;
}

}  // namespace
}  // namespace codmoe::data
