#include "benchmarks/experts.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "codmoe/core/error.h"
#include "codmoe/core/options_json.h"

namespace codmoe::bench {
namespace {

using Key = std::tuple<std::string, std::string, std::string, int64_t>;  // expert, form, pass, batch

ExpertsOptions small_experts() {
  ExpertsOptions options;
  options.dim = 8;
  options.height = 4;
  options.width = 5;
  options.batch = {1, 3};
  options.pass = {Pass::forward, Pass::train};
  options.old_pool = {"edge", "edge", "frequency"};
  options.route_sets = 2;
  options.timing = {.warmup = 1, .runs = 2, .seconds = 100};
  return options;
}

const std::vector<std::pair<std::string, std::string>> kRows = {{"texture", "new"},
                                                                {"frequency", "new"},
                                                                {"frequency", "pooled twice"},
                                                                {"edge", "new"},
                                                                {"contrast", "new"},
                                                                {"attention", "new"},
                                                                {"contrast", "depthwise + two 1x1"},
                                                                {"attention", "literal"},
                                                                {"hybrid", "new"},
                                                                {"layer", "new"},
                                                                {"layer", "sequential"},
                                                                {"layer", "old pool"}};

TEST(ExpertsBench, MeasuresEveryFormAndTheTableShowsIt) {
  const auto records = run_experts(small_experts(), c10::kCPU);
  std::set<Key> expected, found;
  for (const auto& [expert, form] : kRows) {
    for (const auto* pass : {"forward", "train"}) {
      for (const int64_t batch : {1, 3}) expected.insert({expert, form, pass, batch});
    }
  }
  for (const auto& record : records) {
    EXPECT_EQ(record.case_name, "experts");
    EXPECT_GT(record.median_ms, 0);
    EXPECT_GT(record.parameters.value_or(0), 0);
    EXPECT_GT(record.flops.value_or(0), 0);
    EXPECT_GT(record.roofline_ms.value_or(0), 0);
    found.insert({record.expert.value(), record.form.value(), record.pass, record.batch});
  }
  EXPECT_EQ(found, expected);
  EXPECT_EQ(records.size(), expected.size());

  const auto text = format_experts(records);
  for (const auto& [expert, form] : kRows) {
    std::size_t count = 0;
    const auto begin = fmt::format("\n{:<10} {:<20} ", expert, form);
    for (auto at = text.find(begin); at != std::string::npos; at = text.find(begin, at + 1)) ++count;
    EXPECT_EQ(count, 2U) << begin << " in\n" << text;  // one a pass
  }
}

TEST(ExpertsBench, ExpertsThatAreNamedTwiceAreTimedOnce) {
  auto options = small_experts();
  options.moe.experts = {"edge", "edge"};
  options.pass = {Pass::forward};
  options.batch = {1};
  std::size_t edges = 0;
  for (const auto& record : run_experts(options, c10::kCPU)) edges += record.expert == "edge" ? 1 : 0;
  EXPECT_EQ(edges, 1U);
}

/// A measured record of 100 runs whose samples hardly vary.
Record make_form(const char* expert, const char* form, double ms, int64_t parameters) {
  Record record;
  record.case_name = "experts";
  record.expert = expert;
  record.form = form;
  record.dtype = "float32";
  record.pass = "forward";
  record.batch = 16;
  record.runs = 100;
  record.median_ms = record.p95_ms = record.min_ms = ms;
  record.parameters = parameters;
  record.flops = 32'000'000;
  return record;
}

TEST(ExpertsTable, SaysWhatIsTrueOfEachClaim) {
  const auto text =
      format_experts({make_form("frequency", "new", 9.5, 10), make_form("frequency", "pooled twice", 10, 10),
                      make_form("contrast", "new", 12, 600), make_form("contrast", "depthwise + two 1x1", 3, 100),
                      make_form("layer", "new", 20, 6), make_form("layer", "sequential", 40, 6)});
  for (const auto* part : {
           "pooling once: claimed 10 % faster; here 5.0 % less time than pooling twice (noise 0.0 %)",
           "contrast: claimed 25 % fewer parameters; here 6.00 times as many (600 against 100), "
           "300.0 % more time than the old form",
           "batching: claimed 30-40 % faster; here 50.0 % less time than sequential",
           "2.00",    // old/new of a sequential layer
           " 0.25 ",  // and of the old contrast
       }) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  }
}

TEST(ExpertsTable, AddsTheGpusOwnTime) {
  auto now = make_form("frequency", "new", 8, 10), before = make_form("frequency", "pooled twice", 10, 10);
  now.gpu_ms = 3;
  before.gpu_ms = 4;
  before.gpu_queued = false;
  const auto text = format_experts({now, before});
  for (const auto* part : {"8.000 (3.000)", "10.000 (4.000*)", "1.25 (1.33)", "25.0 % less GPU time"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
}

TEST(ExpertsBench, AWrongOldPoolIsNamed) {
  ExpertsOptions options;
  try {
    core::read_options(core::Json::parse(R"({"old_pool": ["edge", "egde"]})"), {}, options);
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("old_pool.1 is 'egde'"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace codmoe::bench
