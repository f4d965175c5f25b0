#include "codmoe/report/formats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Formats : public FolderTest {
 protected:
  Evaluation evaluate(const std::string& run, int64_t missed) const {
    data::write_png(gt() / "mask.png", square(0));
    Evaluation evaluation(run);
    evaluation.add("CAMO", {"one", {}, gt() / "mask.png"}, square(0));
    evaluation.add("COD10K", {"three", {}, gt() / "mask.png"}, square(missed));
    evaluation.add("CAMO", {"two, \"quoted\"", {}, gt() / "mask.png"}, square(missed));
    return evaluation;
  }
};

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> list;
  for (std::string line; std::getline(stream, line);) list.push_back(line);
  return list;
}

std::vector<std::string> first_words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words(4);
  for (std::string& word : words) stream >> word;
  return words;
}

TEST_F(Formats, JsonOfOneRunHasItsDatasets) {
  const Evaluation evaluation = evaluate("swift", 10);
  write_json(dir_ / "scores.json", {&evaluation, 1});
  const auto json = core::Json::parse(core::read_file(dir_ / "scores.json"));
  EXPECT_EQ(json.begin().key(), "datasets");
  EXPECT_FALSE(json.contains("runs"));
  const auto& camo = json["datasets"]["CAMO"];
  EXPECT_EQ(camo["n"], 2);
  EXPECT_DOUBLE_EQ(camo["IoU"].get<double>(), 0.75);
  EXPECT_DOUBLE_EQ(json["datasets"]["COD10K"]["IoU"].get<double>(), 0.5);
  for (const char* name : {"Smeasure", "wFmeasure", "MAE", "adpEm", "meanEm", "maxEm", "adpFm", "meanFm", "maxFm",
                           "meaniou", "maxiou", "adpiou", "maxdice"}) {
    EXPECT_TRUE(camo[name].is_number()) << name;
  }
  const auto plain = [](const metrics::Column& column) { return !column.extended; };
  EXPECT_EQ(camo.size(), std::ranges::count_if(metrics::columns(), plain) + 1);
}

TEST_F(Formats, TestTimeAugmentationStandsInTheConventionsOfEveryTable) {
  std::vector<Evaluation> runs{evaluate("plain", 10), evaluate("augmented", 10)};
  EXPECT_FALSE(contains(format_table(runs), "test-time augmentation"));
  runs[1].set_test_time("mean over <views>");
  const core::Json json = to_json(runs);
  EXPECT_EQ(json["runs"]["augmented"]["test_time_augmentation"], "mean over <views>");
  EXPECT_FALSE(json["runs"]["plain"].contains("test_time_augmentation"));
  for (const std::string& text : {format_table(runs), json["conventions"].get<std::string>(), to_markdown(runs)}) {
    EXPECT_TRUE(contains(text, "test-time augmentation of checkpoints: mean over <views>"));
  }
}

TEST_F(Formats, ExtendedScoresAreWrittenWhereTheyAreComputed) {
  data::write_png(gt() / "mask.png", square(0));
  Evaluation evaluation("swift", {.score = {.extended = true}});
  evaluation.add("CAMO", {"one", {}, gt() / "mask.png"}, square(10));
  const auto json = to_json({&evaluation, 1})["datasets"]["CAMO"];
  EXPECT_EQ(json.size(), metrics::columns().size() + 1);
  for (const char* name : {"hce", "cm", "si_mae", "meansi_fm", "overall_bisi_fm", "maxmsiou"}) {
    EXPECT_TRUE(json[name].is_number()) << name;
  }
  const auto rows = lines(to_csv({&evaluation, 1}));
  EXPECT_TRUE(contains(rows[0], ",adpmsiou,meanmsiou,maxmsiou,sample_bimsiou"));
  EXPECT_EQ(std::ranges::count(rows[1], ','), std::ranges::count(rows[0], ','));
  EXPECT_TRUE(evaluation.dataset("CAMO").notes().empty());
}

TEST_F(Formats, JsonOfSeveralRunsNamesThem) {
  const std::vector<Evaluation> runs{evaluate("swift", 10), evaluate("slow", 5)};
  const auto json = to_json(runs);
  EXPECT_FALSE(json.contains("datasets"));
  EXPECT_DOUBLE_EQ(json["runs"]["swift"]["datasets"]["COD10K"]["IoU"].get<double>(), 0.5);
  EXPECT_DOUBLE_EQ(json["runs"]["slow"]["datasets"]["COD10K"]["IoU"].get<double>(), 0.75);
}

TEST_F(Formats, AnUndefinedScoreIsNullAndNoted) {
  at::Tensor corner = at::zeros({6, 8}, at::kByte);
  corner[5][7] = 255;  // its centroid leaves no pixels below or to the right
  data::write_png(gt() / "corner.png", corner);
  Evaluation evaluation;
  evaluation.add("set", {"corner", {}, gt() / "corner.png"}, corner);
  const auto json = core::Json::parse(to_json({&evaluation, 1}).dump());
  EXPECT_TRUE(json["datasets"]["set"]["Smeasure"].is_null());
  EXPECT_EQ(json["datasets"]["set"]["IoU"], 1);
  EXPECT_EQ(json["notes"]["set"][0], "1 of 1 Smeasure values undefined, and so the mean: corner");
}

TEST_F(Formats, CsvHasALineForEachImage) {
  const Evaluation evaluation = evaluate("swift", 10);
  write_csv(dir_ / "scores.csv", {&evaluation, 1});
  const auto rows = lines(core::read_file(dir_ / "scores.csv"));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_TRUE(rows[0].starts_with("run,dataset,name,height,width,foreground,Smeasure,wFmeasure,MAE,")) << rows[0];
  EXPECT_FALSE(contains(rows[0], "overall"));  // pooled over images
  EXPECT_TRUE(rows[1].starts_with("swift,CAMO,one,40,50,400,")) << rows[1];
  EXPECT_TRUE(rows[2].starts_with("swift,CAMO,\"two, \"\"quoted\"\"\",40,50,400,")) << rows[2];
  EXPECT_TRUE(rows[3].starts_with("swift,COD10K,three,")) << rows[3];
  const auto commas = [](const std::string& row) { return std::count(row.begin(), row.end(), ','); };
  EXPECT_EQ(commas(rows[1]), commas(rows[0]));
}

TEST_F(Formats, TableAlignsRunsAndDatasets) {
  const std::vector<Evaluation> runs{evaluate("swift", 10), evaluate("slow", 5)};
  const auto rows = lines(format_table(runs));
  ASSERT_GE(rows.size(), 6U);
  EXPECT_EQ(first_words(rows[0]), (std::vector<std::string>{"run", "dataset", "n", "Smeasure"}));
  EXPECT_EQ(first_words(rows[1]).front(), "swift");
  EXPECT_TRUE(rows[1].ends_with(" 0.7500")) << rows[1];
  EXPECT_EQ(first_words(rows[4])[1], "COD10K");
  EXPECT_EQ(first_words(rows[4])[2], "1");
  EXPECT_TRUE(rows[4].ends_with(" 0.7500")) << rows[4];
  for (std::size_t i = 1; i < 5; ++i) EXPECT_EQ(rows[i].size(), rows[0].size());
  EXPECT_TRUE(contains(rows[5], "PySODMetrics 1.6.2"));
  EXPECT_TRUE(format_table({runs.data(), 1}).starts_with("dataset"));
}

TEST_F(Formats, UnknownNamesAreRefused) {
  const Evaluation evaluation = evaluate("swift", 10);
  EXPECT_THROW(evaluation.dataset("NC4K"), core::Error);
  EXPECT_THROW(evaluation.dataset("CAMO").images()[0].at("iuo"), core::Error);
}

}  // namespace
}  // namespace codmoe::report
