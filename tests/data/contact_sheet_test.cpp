#include "codmoe/data/contact_sheet.h"

#include "test_files.h"

namespace codmoe::data {
namespace {

class ContactSheetTest : public FolderTest {};

TEST_F(ContactSheetTest, PhotographsBesideWhatTheMaskLeaves) {
  for (const char* name : {"a", "b", "c"}) write_pair(dir_, name, 30, 60, name[0] - 'a');
  const at::Tensor sheet = contact_sheet(Dataset({dir_, {}}), {.samples = 8, .columns = 2, .cell = 60});
  ASSERT_EQ(sheet.sizes(), (at::IntArrayRef{2 * 64 + 4, 2 * 126 + 4, 3}));
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t top = 4 + i / 2 * 64, left = 4 + i % 2 * 126;
    const auto image = test_image(30, 60, i), mask = test_mask(30, 60);
    EXPECT_TRUE(at::equal(sheet.narrow(0, top, 30).narrow(1, left, 60), image)) << i;
    const auto wanted = at::where(mask.unsqueeze(2) > 0, image.to(at::kFloat), image.to(at::kFloat) / 5);
    const auto found = sheet.narrow(0, top, 30).narrow(1, left + 62, 60).to(at::kFloat);
    EXPECT_LE((found - wanted).abs().max().item<double>(), 0.51) << i;
  }
  EXPECT_TRUE((sheet.slice(0, 68).slice(1, 130) == 255).all().item<bool>()) << "the fourth cell is empty";
}

TEST_F(ContactSheetTest, SamplesAreSpreadOverTheSet) {
  for (int64_t i = 0; i < 9; ++i) write_pair(dir_, std::to_string(i), 20, 20, i);
  const at::Tensor sheet = contact_sheet(Dataset({dir_, {}}), {.samples = 3, .columns = 3, .cell = 20});
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::equal(sheet.narrow(0, 4, 20).narrow(1, 4 + i * 46, 20), test_image(20, 20, 3 * i))) << i;
  }
}

TEST_F(ContactSheetTest, AMaskOfAnotherSizeIsNamed) {
  write_pair(dir_, "a", 30, 60);
  write_png(dir_ / "GT/a.png", test_mask(30, 59));
  const std::string error = error_of([&] { contact_sheet(Dataset({dir_, {}})); });
  EXPECT_TRUE(error.find("GT/a.png is 59x30") != std::string::npos) << error;
}

}  // namespace
}  // namespace codmoe::data
