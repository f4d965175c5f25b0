#include "codmoe/core/json.h"

#include <gtest/gtest.h>

#include "codmoe/core/error.h"

namespace codmoe::core {
namespace {

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string message_of(const std::string& text) {
  try {
    parse_json(text, "a.json");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ParseJson, TakesWhatFilesHold) {
  EXPECT_EQ(parse_json(R"({"b": [1, {"a\"": "]"}], "a": null})", "a.json").dump(), R"({"b":[1,{"a\"":"]"}],"a":null})");
  EXPECT_EQ(message_of(nested(64)), "");
}

TEST(ParseJson, BracketsWithinTextsAreText) {
  EXPECT_EQ(message_of(R"(["\\", ")" + std::string(100, '[') + R"(\"{{", "\\"])"), "");
}

TEST(ParseJson, DeepNestingIsAnError) {
  EXPECT_EQ(message_of(nested(65)), "a.json: is damaged: its lists and objects nest deeper than 64");
  EXPECT_NE(message_of(R"({"a\\": )" + nested(200'000) + "}"), "");
}

TEST(ParseJson, WhatIsNoJsonIsAnErrorThatNamesTheFile) {
  for (const auto* text : {"", "{\"a\": 1", "[1] 2", "nan", "\"\xff\"", "]]]"}) {
    EXPECT_EQ(message_of(text).rfind("a.json: is damaged: ", 0), 0u) << text << ": " << message_of(text);
  }
}

}  // namespace
}  // namespace codmoe::core
