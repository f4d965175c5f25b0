#include "codmoe/data/augmented_sheet.h"

#include "batches.h"
#include "codmoe/data/loader.h"
#include "test_files.h"

namespace codmoe::data {
namespace {

class AugmentedSheetTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    for (int64_t i = 0; i < 4; ++i)
      write_pair(dir_, std::to_string(i), 60 + 60 * i, 60 + 60 * i, i);  // some are reduced
  }

  static at::Tensor cell(const at::Tensor& sheet, int64_t row, int64_t column) {
    return sheet.narrow(0, 4 + 68 * row, 64).narrow(1, 4 + 68 * column, 64);
  }
};

constexpr AugmentedSheetOptions kLayout{.samples = 2, .epochs = 3, .size = 64, .cell = 64, .seed = 9};

TEST_F(AugmentedSheetTest, ShowsWhatTrainingSees) {
  AugmentOptions augment;
  augment.paste = 1;
  const Dataset dataset({dir_, {}});
  const at::Tensor sheet = augmented_sheet(dataset, augment, kLayout);
  ASSERT_EQ(sheet.sizes(), (at::IntArrayRef{2 * 68 + 4, 4 * 68 + 4, 3}));
  Loader loader(std::make_shared<Samples>(std::make_shared<Dataset>(DatasetOptions{dir_, {}}), 64),
                {.batch_size = 4, .size = 64, .threads = 1, .shuffle = false}, augment, 9);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    loader.start(epoch);
    const Batch batch = *loader.next();
    for (int64_t row = 0; row < 2; ++row) {
      const auto shown = cell(sheet, row, epoch + 1), seen = batch.images[2 * row].permute({1, 2, 0});
      const auto outline = (shown == at::tensor({255, 0, 255}, at::kByte)).all(2);
      EXPECT_TRUE(at::equal(shown.masked_fill(outline.unsqueeze(2), 0), seen.masked_fill(outline.unsqueeze(2), 0)));
      const auto object = batch.masks[2 * row][0] >= 128;
      EXPECT_GT(outline.sum().item<int64_t>(), 60);
      EXPECT_LT((outline & object).sum().item<int64_t>(), object.sum().item<int64_t>()) << "the object stays visible";
    }
  }
}

TEST_F(AugmentedSheetTest, TheFirstColumnIsTheSampleWithItsOutline) {
  const at::Tensor sheet = augmented_sheet(Dataset({dir_, {}}), {}, kLayout);
  const auto outline = (cell(sheet, 1, 0) == at::tensor({255, 0, 255}, at::kByte)).all(2);
  const auto object = resize(test_mask(60, 60), 64, 64, Interpolation::area) >= 128;
  const auto rows = object.any(1).nonzero(), columns = object.any(0).nonzero();
  const int64_t top = rows.min().item<int64_t>(), bottom = rows.max().item<int64_t>();
  const int64_t left = columns.min().item<int64_t>(), right = columns.max().item<int64_t>();
  auto wanted = at::zeros({64, 64}, at::kBool);  // of a rectangle: one pixel inside, one outside
  wanted.slice(0, top - 1, bottom + 2).slice(1, left - 1, right + 2).fill_(true);
  wanted.slice(0, top + 1, bottom).slice(1, left + 1, right).fill_(false);
  EXPECT_TRUE(at::equal(outline, wanted));
}

}  // namespace
}  // namespace codmoe::data
