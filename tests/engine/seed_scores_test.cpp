#include "codmoe/engine/seed_scores.h"

#include <gtest/gtest.h>

#include <cmath>

namespace codmoe::engine {
namespace {

const std::vector<SeedScores> kRuns{{0, 40, {{"IoU", 0.6}, {"MAE", 0.1}}},
                                    {1, 30, {{"IoU", 0.7}, {"MAE", nullptr}}},
                                    {5, 40, {{"IoU", 0.5}, {"MAE", 0.3}}}};

TEST(SeedScores, MeanAndDeviationOfASample) {
  const auto json = seeds_json(kRuns);
  EXPECT_NEAR(json["mean"]["IoU"].get<double>(), 0.6, 1e-12);
  EXPECT_NEAR(json["sd"]["IoU"].get<double>(), 0.1, 1e-12);
  EXPECT_EQ(json["seeds"]["5"], (core::Json{{"step", 40}, {"IoU", 0.5}, {"MAE", 0.3}}));
  EXPECT_EQ(core::Json::parse(json.dump())["mean"]["MAE"], nullptr);
}

TEST(SeedScores, TableHasALineAScore) {
  const auto table = seeds_table(kRuns);
  EXPECT_NE(table.find("0.6000 ± 0.1000    0.6000    0.7000    0.5000"), std::string::npos) << table;
}

TEST(SeedScores, OneSeedHasNoDeviation) { EXPECT_TRUE(std::isnan(seeds_json({kRuns[0]})["sd"]["IoU"].get<double>())); }

}  // namespace
}  // namespace codmoe::engine
