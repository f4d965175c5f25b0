#include "codmoe/report/folders.h"

#include <gtest/gtest.h>

#include <fstream>

#include "codmoe/core/error.h"
#include "codmoe/report/formats.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Folders : public FolderTest {
 protected:
  std::string failure() const {
    try {
      evaluate_folders(pred(), gt());
    } catch (const core::Error& error) {
      return error.what();
    }
    return "no failure";
  }
};

TEST_F(Folders, ScoresEveryPairInTheOrderOfNames) {
  write_pair("b", 10);
  write_pair("a", 0);
  write_pair("c", 5);
  const Evaluation evaluation = evaluate_folders(pred(), gt());
  ASSERT_EQ(evaluation.datasets().size(), 1U);
  const DatasetResult& result = evaluation.datasets()[0];
  EXPECT_EQ(evaluation.run(), "pred");
  EXPECT_EQ(result.name(), dir_.path().filename());  // masks of a dataset take its name
  ASSERT_EQ(result.images().size(), 3U);
  EXPECT_EQ(result.images()[0].item.name, "a");
  EXPECT_DOUBLE_EQ(result.images()[0].at("IoU"), 1);
  EXPECT_DOUBLE_EQ(result.images()[1].at("IoU"), 0.5);
  EXPECT_DOUBLE_EQ(result.images()[2].at("IoU"), 0.75);
  EXPECT_DOUBLE_EQ(result.summary().at("IoU"), 0.75);
  EXPECT_TRUE(result.notes().empty());
}

TEST_F(Folders, NumberOfThreadsChangesNothing) {
  for (int64_t i = 0; i < 30; ++i) write_pair("image" + std::to_string(i), i % 20);
  const Evaluation one = evaluate_folders(pred(), gt(), {.score = {}, .threads = 1, .thumbnail = 0});
  const Evaluation many = evaluate_folders(pred(), gt(), {.score = {}, .threads = 7, .thumbnail = 0});
  EXPECT_EQ(to_csv({&one, 1}), to_csv({&many, 1}));
  EXPECT_EQ(to_json({&one, 1}), to_json({&many, 1}));
}

TEST_F(Folders, PredictionsFromMemoryScoreAlike) {
  write_pair("a", 3);
  write_pair("b", 8);
  const Evaluation files = evaluate_folders(pred(), gt(), {}, "set");
  Evaluation memory("pred");
  memory.add("set", {"a", {}, gt() / "a.png"}, square(3));
  memory.add("set", {"b", {}, gt() / "b.png"}, square(8));
  EXPECT_EQ(to_csv({&files, 1}), to_csv({&memory, 1}));
}

TEST_F(Folders, MissingAndExtraPredictionsAreNamed) {
  for (const char* name : {"a", "b", "c"}) write_pair(name, 0);
  std::filesystem::remove(pred() / "b.png");
  EXPECT_EQ(failure(), pred().string() + ": 1 of 3 masks have no prediction: b");
  data::write_png(pred() / "stray.png", square(0));
  EXPECT_TRUE(contains(failure(), "no prediction: b; 1 of 3 predictions have no mask: stray"));
}

TEST_F(Folders, TwoFilesOfOneNameAreRefused) {
  write_pair("a", 0);
  data::write_png(pred() / "a.bmp.png", square(0));  // another name: "a.bmp"
  EXPECT_TRUE(contains(failure(), "no mask: a.bmp"));
  std::filesystem::rename(pred() / "a.bmp.png", pred() / "a.PNG");
  EXPECT_TRUE(contains(failure(), "a.png"));
  EXPECT_TRUE(contains(failure(), "a.PNG"));
}

TEST_F(Folders, EmptyAndAbsentFoldersAreRefused) {
  EXPECT_TRUE(contains(failure(), gt().string()));
  write_pair("a", 0);
  EXPECT_THROW(evaluate_folders(dir_ / "nowhere", gt()), core::Error);
  EXPECT_THROW(evaluate_folders(pred(), dir_ / "nowhere"), core::Error);
}

TEST_F(Folders, TheFirstBrokenFileIsNamed) {
  for (const char* name : {"a", "b", "c", "d"}) write_pair(name, 0);
  std::ofstream(pred() / "b.png") << "no image";
  std::ofstream(gt() / "d.png") << "no image";
  EXPECT_TRUE(contains(failure(), (pred() / "b.png").string()));
}

TEST_F(Folders, PredictionsOfAnotherSizeAreResizedWithANote) {
  write_pair("a", 0);
  write_pair("b", 0);
  data::write_png(pred() / "a.png", data::resize(square(0), 80, 100, data::Interpolation::nearest));
  const Evaluation evaluation = evaluate_folders(pred(), gt());
  EXPECT_DOUBLE_EQ(evaluation.datasets()[0].images()[0].at("IoU"), 1);
  const std::string note = "1 of 2 predictions resized to their mask's size: a (100x80 to 50x40)";
  EXPECT_EQ(evaluation.datasets()[0].notes(), std::vector{note});
  EXPECT_TRUE(contains(format_table({&evaluation, 1}), "note: " + dir_.path().filename().string() + ": " + note));
}

TEST_F(Folders, MasksOfZeroAndOneAreNoted) {
  write_pair("a", 0);
  data::write_png(gt() / "a.png", square(0).gt(0).to(at::kByte));
  const Evaluation evaluation = evaluate_folders(pred(), gt());
  ASSERT_EQ(evaluation.datasets()[0].notes().size(), 1U);
  EXPECT_TRUE(contains(evaluation.datasets()[0].notes()[0], "a (highest 1)"));
}

TEST_F(Folders, PhotographsBesideTheMasksAreFound) {
  write_pair("a", 0);
  write_pair("b", 0);
  data::write_png(images() / "b.png", at::zeros({40, 50, 3}, at::kByte));
  const auto items = mask_items(gt());
  ASSERT_EQ(items.size(), 2U);
  EXPECT_TRUE(items[0].image.empty());
  EXPECT_TRUE(std::filesystem::equivalent(items[1].image, images() / "b.png"));
  EXPECT_TRUE(mask_items(pred())[1].image.empty());
}

TEST_F(Folders, AListOfItemsNeedsNoOtherMasks) {
  for (const char* name : {"a", "b", "c"}) write_pair(name, 0);
  std::filesystem::remove(pred() / "b.png");
  const auto pairs = pair_files(pred(), {{"c", {}, gt() / "c.png"}, {"a", {}, gt() / "a.png"}});
  Evaluation evaluation("run");
  int64_t heard = 0;
  evaluate_files(pairs, "val", evaluation, [&](int64_t done) { heard = done; });
  EXPECT_EQ(heard, 2);
  ASSERT_EQ(evaluation.dataset("val").images().size(), 2U);
  EXPECT_EQ(evaluation.dataset("val").images()[0].item.name, "c");
}

}  // namespace
}  // namespace codmoe::report
