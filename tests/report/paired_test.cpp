#include "codmoe/report/paired.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/checksum.h"
#include "codmoe/report/folders.h"
#include "codmoe/report/formats.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Paired : public FolderTest {
 protected:
  /// Image k misses missed(k) of 20 rows.
  template <class Missed>
  Evaluation evaluate(const Missed& missed, int64_t n = 12) const {
    data::write_png(gt() / "mask.png", square(0));
    Evaluation evaluation("run");
    for (int64_t k = 0; k < n; ++k) {
      evaluation.add("CAMO", {"image" + std::to_string(k), {}, gt() / "mask.png"}, square(missed(k)));
    }
    return evaluation;
  }

  std::filesystem::path saved(const Evaluation& evaluation) const {
    write_csv(dir_ / "other.csv", {&evaluation, 1});
    return dir_ / "other.csv";
  }

  std::string failure(const std::string& csv, const Evaluation& now) const {
    core::write_file_atomically(dir_ / "broken.csv", csv);
    try {
      compare_with(dir_ / "broken.csv", {&now, 1});
    } catch (const core::Error& error) {
      return error.what();
    }
    return "no failure";
  }

  static PairedDifference of(const std::vector<PairedDifference>& list, const std::string& score) {
    for (const PairedDifference& difference : list) {
      if (difference.score == score) return difference;
    }
    ADD_FAILURE() << score;
    return {};
  }
};

TEST_F(Paired, ASmallGainOfEveryImageIsSeen) {
  const Evaluation before = evaluate([](int64_t k) { return k + 1; });
  const Evaluation now = evaluate([](int64_t k) { return k; });
  const PairedDifference iou = of(compare_with(saved(before), {&now, 1}), "IoU");
  EXPECT_EQ(iou.n, 12U);
  EXPECT_NEAR(iou.mean - iou.other_mean, 0.05, 1e-12);  // a row of 20
  EXPECT_NEAR(iou.difference.low, 0.05, 1e-12);         // whichever images are drawn
  EXPECT_NEAR(iou.difference.high, 0.05, 1e-12);
  // Of the 2^12 ways to set the signs, 2 are as far off: p is 2 / 4096 but for chance.
  EXPECT_NEAR(iou.p, 2.0 / 4096, 0.0008);
  EXPECT_LT(iou.p, 0.002);
}

TEST_F(Paired, GainsAndLossesAlikeAreChance) {
  const Evaluation before = evaluate([](int64_t k) { return k % 2 == 0 ? 5 : 7; });
  const Evaluation now = evaluate([](int64_t k) { return k % 2 == 0 ? 7 : 5; });
  const PairedDifference iou = of(compare_with(saved(before), {&now, 1}), "IoU");
  EXPECT_NEAR(iou.mean, iou.other_mean, 1e-12);
  EXPECT_EQ(iou.p, 1);
  EXPECT_LT(iou.difference.low, 0);
  EXPECT_GT(iou.difference.high, 0);
}

TEST_F(Paired, MaximaOfTheMeanCurveAreLeftOut) {
  const Evaluation now = evaluate([](int64_t k) { return k; });
  const auto list = compare_with(saved(now), {&now, 1});
  const auto compared = [](const auto& column) { return column.headline && !column.name.starts_with("max"); };
  EXPECT_EQ(std::ssize(list), std::ranges::count_if(metrics::columns(), compared));
  for (const PairedDifference& d : list) EXPECT_FALSE(d.score.starts_with("max")) << d.score;
  EXPECT_TRUE(contains(format_differences("other.csv", list), "against other.csv"));
}

TEST_F(Paired, OtherImagesAreRefusedAndNamed) {
  const Evaluation before = evaluate([](int64_t k) { return k; }, 3);
  const Evaluation now = evaluate([](int64_t k) { return k; }, 4);
  const std::string csv = to_csv({&before, 1});
  EXPECT_TRUE(contains(failure(csv, now), "1 images are not in it: CAMO/image3"));
  EXPECT_TRUE(contains(failure(to_csv({&now, 1}), before), "1 of its images were not scored now: CAMO/image3"));
  EXPECT_TRUE(contains(failure(csv + csv.substr(csv.find('\n') + 1), before), "row 5: image image0 again"));
  EXPECT_TRUE(contains(failure("", now), "is empty"));
  EXPECT_TRUE(contains(failure("run,dataset,name\nr,CAMO,image0\n", now), "has no column Smeasure"));
  EXPECT_TRUE(contains(failure(csv + "run,CAMO,x,1\n", now), "row 5 has 4 fields"));
}

TEST_F(Paired, IntervalsHoldTheScoreAndNarrowWithTheNumberOfImages) {
  const auto missed = [](int64_t k) { return k * 7 % 20; };
  const Interval few = evaluate(missed, 20).dataset("CAMO").intervals().front();
  const Evaluation many = evaluate(missed, 320);
  const Interval interval = many.dataset("CAMO").intervals().front();
  const double score = many.dataset("CAMO").summary().at("Smeasure");
  EXPECT_LT(interval.low, score);
  EXPECT_GT(interval.high, score);
  Evaluation grown = many;
  grown.add("CAMO", many.dataset("CAMO").images().front());
  EXPECT_NE(grown.dataset("CAMO").intervals().front().low, interval.low) << "those of fewer images";
  EXPECT_NEAR((few.high - few.low) / (interval.high - interval.low), 4, 1);  // sqrt(320 / 20)
}

TEST_F(Paired, TheIntervalOfAMeanIsThatOfTheNormalDistribution) {
  std::vector<double> values;
  for (int k = 0; k < 400; ++k) values.push_back(k % 2);  // deviation 0.5
  const Interval interval = bootstrap_interval(values);
  EXPECT_NEAR(interval.low, 0.5 - 1.96 * 0.5 / 20, 0.006);
  EXPECT_NEAR(interval.high, 0.5 + 1.96 * 0.5 / 20, 0.006);
}

TEST_F(Paired, ChecksumsTellInputsApartAndNotTheirOrder) {
  for (const char* name : {"a", "b"}) write_pair(name, 0);
  const auto evaluate_pairs = [&](bool backwards) {
    auto pairs = pair_files(pred(), mask_items(gt()));
    if (backwards) std::swap(pairs[0], pairs[1]);
    Evaluation evaluation("run");
    evaluate_files(pairs, "set", evaluation);
    return evaluation;
  };
  const Evaluation before = evaluate_pairs(false);
  const Checksums first = checksums(before.dataset("set"));
  EXPECT_EQ(first.masks.size(), 16U);
  EXPECT_EQ(first.masks, first.predictions);
  EXPECT_EQ(checksums(evaluate_pairs(true).dataset("set")).masks, first.masks);
  at::Tensor changed = square(0);
  changed[39][49] = 1;
  data::write_png(pred() / "b.png", changed);
  const Evaluation now = evaluate_pairs(false);
  EXPECT_EQ(checksums(now.dataset("set")).masks, first.masks);
  EXPECT_NE(checksums(now.dataset("set")).predictions, first.predictions);
  EXPECT_TRUE(contains(format_table({&now, 1}), "inputs: set: n 2, masks " + first.masks));
  EXPECT_EQ(to_json({&now, 1})["inputs"]["set"]["masks"], first.masks);
  EXPECT_NE(hash_image(at::zeros({2, 6}, at::kByte)), hash_image(at::zeros({3, 4}, at::kByte)));
}

TEST_F(Paired, StrictRefusesAPredictionOfAnotherSize) {
  write_pair("a", 0);
  data::write_png(pred() / "a.png", at::zeros({80, 100}, at::kByte));
  EvaluationOptions options;
  options.strict = true;
  try {
    evaluate_folders(pred(), gt(), options);
    ADD_FAILURE();
  } catch (const core::Error& error) {
    EXPECT_TRUE(contains(error.what(), "a: the prediction is 100x80, its mask 50x40"));
  }
}

}  // namespace
}  // namespace codmoe::report
