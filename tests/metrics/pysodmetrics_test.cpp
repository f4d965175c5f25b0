// Against saved scores of PySODMetrics 1.6.2 (make_pysodmetrics_vectors.py).
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/metrics/scores.h"
#include "vectors.h"

namespace codmoe::metrics {
namespace {

const nlohmann::json& saved() {
  static const auto json = nlohmann::json::parse(
      core::read_file(std::filesystem::path(CODMOE_SOURCE_DIR) / "tests/metrics/data/pysodmetrics_vectors.json"));
  return json;
}

ImageScores score(const nlohmann::json& entry) {
  const auto [pred, mask] = make_vector({entry["mask"], entry["pred"], entry["height"], entry["width"], entry["seed"]});
  return score_image(pred, mask, {.extended = true});
}

void expect_scores(const Summary& summary, const nlohmann::json& expected) {
  const auto& names = saved()["names"];
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string name = names[i];
    const double value = summary.at(name);
    if (expected[i] == "fails") continue;
    if (expected[i].is_null()) {
      EXPECT_TRUE(std::isnan(value)) << name;
    } else {
      EXPECT_NEAR(value, expected[i].get<double>(), 1e-9 * std::max(1.0, std::abs(value))) << name;
    }
  }
}

TEST(PySodMetrics, EveryColumnIsCompared) {
  const auto names = saved()["names"].get<std::set<std::string>>();
  for (const auto& column : columns()) {
    EXPECT_TRUE(names.contains(column.name))
        << column.name << " has no saved scores: add it to pysodmetrics_oracle.py and run make_pysodmetrics_vectors.py;"
        << " what PySODMetrics lacks is excepted here, and has a test of its own";
  }
}

TEST(PySodMetrics, EveryImage) {
  ASSERT_GT(saved()["cases"].size(), 60U);
  for (const auto& entry : saved()["cases"]) {
    SCOPED_TRACE(entry["mask"].get<std::string>() + " mask, " + entry["pred"].get<std::string>() + " prediction, " +
                 entry["height"].dump() + "x" + entry["width"].dump());
    expect_scores(summarize(score(entry)), entry["scores"]);
  }
}

// Where PySODMetrics fails, so that nothing is compared above.
TEST(PySodMetrics, AreDefinedWhereItFails) {
  const auto score_of = [](const char* mask) {
    const auto [pred, truth] = make_vector({mask, "mask", 37, 53, 1});
    return summarize(score_image(pred, truth, {.extended = true}));
  };
  EXPECT_TRUE(std::isnan(score_of("full").at("si_mae")));  // its box leaves no background
  EXPECT_EQ(score_of("full").at("sample_bisi_fm"), 1);
  EXPECT_EQ(score_of("sparse").at("si_mae"), 0);  // more targets than a float64 has bits
  EXPECT_NEAR(score_of("sparse").at("sample_bisi_fm"), 1, 1e-12);
}

TEST(PySodMetrics, Dataset) {
  ScoreAccumulator accumulator;
  for (const auto& entry : saved()["cases"]) {
    if (entry["in_dataset"]) accumulator.add(score(entry));
  }
  const Summary summary = accumulator.summary();
  expect_scores(summary, saved()["dataset"]);
  for (const auto& [key, values] : saved()["curves"].items()) {
    const Curve& curve = summary.curve(key);
    for (std::size_t t = 0; t < curve.size(); ++t) EXPECT_NEAR(curve[t], values[t].get<double>(), 1e-9) << key << t;
  }
}

}  // namespace
}  // namespace codmoe::metrics
