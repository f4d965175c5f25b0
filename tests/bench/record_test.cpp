#include "benchmarks/record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "codmoe/core/error.h"
#include "support/temporary_folder.h"

namespace codmoe::bench {
namespace {

Record make_record() {
  Record record;
  record.case_name = "layer";
  record.dispatch = "batched";
  record.inputs = "cold";
  record.batch = 16;
  record.load = {0.25, 0.75};
  record.median_ms = 1.5;
  record.p95_ms = 2.5;
  record.gpu_ms = 1.25;
  record.gpu_queued = false;
  record.flops = int64_t{9'000'000'000};
  record.backbone = "pvt_v2_b2";
  record.frozen_norm = true;
  record.threads = 2;
  return record;
}

TEST(RecordJson, HasTheFieldsThatDesignNames) {
  const auto json = to_json({make_record()}).at(0);
  for (const char* key : {"case",       "device", "dtype",    "dispatch",    "pass",    "inputs", "batch",
                          "channels",   "height", "width",    "top_k",       "routing", "load",   "median_ms",
                          "p95_ms",     "min_ms", "backbone", "frozen_norm", "threads", "gpu_ms", "images_per_s",
                          "peak_bytes", "flops",  "bytes",    "roofline_ms"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json.at("case"), "layer");
  EXPECT_EQ(json.at("load"), (std::vector<double>{0.25, 0.75}));
  EXPECT_EQ(json.at("gpu_ms"), 1.25);
  EXPECT_TRUE(json.at("peak_bytes").is_null());
}

TEST(RecordJson, ReadsWhatItWrote) {
  const test::TemporaryFolder folder;
  const auto file = folder / "round_trip.json";
  write_records(file, {make_record(), Record{}});
  const auto records = read_records(file);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(to_json(records), to_json({make_record(), Record{}}));
  EXPECT_EQ(records[0].flops, 9'000'000'000);
  EXPECT_FALSE(records[1].gpu_ms.has_value());
  EXPECT_EQ(records[0].inputs, "cold");
  EXPECT_EQ(records[0].backbone, "pvt_v2_b2");
  EXPECT_EQ(records[0].frozen_norm, true);
  EXPECT_EQ(records[0].threads, 2);
  EXPECT_FALSE(records[1].backbone.has_value());
  EXPECT_EQ(records[1].inputs, "warm");
}

TEST(RecordJson, TakesAFileFromBeforeColdInputsAsWarm) {
  const test::TemporaryFolder folder;
  auto json = to_json({make_record()});
  json.at(0).erase("inputs");
  std::ofstream(folder / "old.json") << json;
  const auto records = read_records(folder / "old.json");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].inputs, "warm");
  EXPECT_EQ(records[0].dispatch, "batched");
}

TEST(RecordJson, NamesAFileThatIsNoResult) {
  const test::TemporaryFolder folder;
  const auto file = folder / "broken.json";
  for (const char* text : {"not JSON", "[{\"case\": \"layer\"}]", "[3]", "[{\"case\": 5}]"}) {
    std::ofstream(file) << text;
    try {
      read_records(file);
      FAIL() << text << " was accepted";
    } catch (const core::Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with(file.string())) << error.what();
    }
  }
}

TEST(RecordTable, ShowsEveryCaseAndMarksHostWaits) {
  auto other = make_record();
  other.dispatch = "dense";
  other.inputs = "warm";
  other.gpu_queued = true;
  other.gpu_ms = 0.75;
  const auto text = format_table({make_record(), other});
  EXPECT_NE(text.find("1.250*"), std::string::npos) << text;
  EXPECT_NE(text.find("0.750 "), std::string::npos) << text;
  EXPECT_EQ(text.find("0.750*"), std::string::npos) << text;
  EXPECT_NE(text.find("load by expert at batch 16: 0.25 0.75"), std::string::npos) << text;
  EXPECT_NE(text.find("9.00"), std::string::npos) << text;
  EXPECT_NE(text.find(" batched, cold "), std::string::npos) << text;
  EXPECT_NE(text.find(" dense "), std::string::npos) << text;
}

}  // namespace
}  // namespace codmoe::bench
