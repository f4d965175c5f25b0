#include "codmoe/report/csv.h"

#include <gtest/gtest.h>

#include "codmoe/core/error.h"
#include "codmoe/core/seed.h"

namespace codmoe::report {
namespace {

using Rows = std::vector<std::vector<std::string>>;

TEST(Csv, RowsOfFields) {
  EXPECT_EQ(parse_csv("", "f"), Rows{});
  EXPECT_EQ(parse_csv("a,b\n1,2\n", "f"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(parse_csv("a,b\r\n,2", "f"), (Rows{{"a", "b"}, {"", "2"}}));
  EXPECT_EQ(parse_csv("\"a, \"\"b\"\"\n\",c\n", "f"), (Rows{{"a, \"b\"\n", "c"}}));
  EXPECT_EQ(parse_csv("a,\n", "f"), (Rows{{"a", ""}}));
}

TEST(Csv, BrokenQuotesAreNamed) {
  for (const char* text : {"a\n\"b", "a\n\"b\"c\n", "a\nb\"c\n"}) {
    try {
      parse_csv(text, "scores.csv");
      ADD_FAILURE() << text;
    } catch (const core::Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("scores.csv: row 2 has a quote")) << error.what();
    }
  }
}

TEST(Csv, AnyTextIsReadOrRefused) {
  const std::string_view alphabet = "a,\"\r\n\0";
  for (uint64_t round = 0; round < 20000; ++round) {
    std::string text;
    for (uint64_t k = 0; k < round % 23; ++k) text += alphabet[core::mix_seed(7, round, k) % alphabet.size()];
    try {
      for (const auto& row : parse_csv(text, "f")) EXPECT_FALSE(row.empty());
    } catch (const core::Error&) {
    }
  }
}

}  // namespace
}  // namespace codmoe::report
