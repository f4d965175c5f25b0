// The one visitor over made-up option structs: what is read, what is refused and with which words.
#include "codmoe/core/options.h"

#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"

namespace codmoe::core {
namespace {

enum class Colour { red, green };
constexpr auto enum_names(Colour) { return names<Colour>({{"red", Colour::red}, {"green", Colour::green}}); }

struct Inner {
  double rate = 0.5;
  int64_t count = 3;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("rate", rate, above(0.0));
    visit("count", count, between(1, 10));
  }
  void check() const {
    if (rate > static_cast<double>(count)) throw BadOption("rate", "must be at most count");
  }
};

struct Outer {
  bool fast = true;
  std::string name = "plain";
  std::filesystem::path file;
  Colour colour = Colour::red;
  std::vector<int64_t> levels = {2};
  std::map<std::string, double> shares;
  Inner inner = {};
  std::vector<Inner> parts;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("fast", fast);
    visit("name", name);
    visit("file", file);
    visit("colour", colour);
    visit("levels", levels, at_least(0));
    visit("shares", shares, between(0, 1));
    visit("inner", inner);
    visit("parts", parts);
  }
};

Outer read(const char* text, const Origins& origins = {}) {
  Outer options;
  read_options(Json::parse(text), origins, options);
  return options;
}

std::string refusal(const char* text, const Origins& origins = {}) {
  try {
    read(text, origins);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "it was accepted";
}

TEST(Options, AbsentKeysKeepTheirValues) {
  const auto options = read("{}");
  EXPECT_EQ(write_options(options), write_options(Outer{}));
  const auto partly = read(R"({"inner": {"count": 7}})");
  EXPECT_EQ(partly.inner.count, 7);
  EXPECT_EQ(partly.inner.rate, 0.5);
}

TEST(Options, ReadsEveryKindOfField) {
  const auto options = read(R"({"fast": false, "name": "other", "file": "/a/b", "colour": "green", "levels": [1, 0],
                                "shares": {"x": 0.25, "y": 1}, "inner": {"rate": 2, "count": 10},
                                "parts": [{"rate": 0.125}, {}]})");
  EXPECT_FALSE(options.fast);
  EXPECT_EQ(options.name, "other");
  EXPECT_EQ(options.file, "/a/b");
  EXPECT_EQ(options.colour, Colour::green);
  EXPECT_EQ(options.levels, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(options.shares, (std::map<std::string, double>{{"x", 0.25}, {"y", 1.0}}));
  EXPECT_EQ(options.inner.rate, 2.0);
  ASSERT_EQ(options.parts.size(), 2U);
  EXPECT_EQ(options.parts[0].rate, 0.125);
  EXPECT_EQ(options.parts[1].rate, 0.5);
}

TEST(Options, WhatIsWrittenIsReadAgain) {
  auto options = read(R"({"name": "a \"b\" ü", "file": "/x", "colour": "green", "levels": [5, 9007199254740993],
                          "shares": {"x": 0.1}, "inner": {"rate": 0.30000000000000004}, "parts": [{"count": 1}]})");
  const auto tree = write_options(options);
  Outer again;
  read_options(Json::parse(tree.dump()), {}, again);
  EXPECT_EQ(write_options(again), tree);
  EXPECT_EQ(again.levels[1], 9007199254740993);
  EXPECT_EQ(again.inner.rate, 0.30000000000000004);
  std::vector<std::string> keys;
  for (const auto& [key, value] : tree.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"fast", "name", "file", "colour", "levels", "shares", "inner", "parts"}));
}

TEST(Options, UnknownKeysNameTheAllowed) {
  EXPECT_EQ(refusal(R"({"inner": {"rat": 1}})"),
            "inner.rat is unknown: there is no option 'rat' here; allowed are count, rate");
  EXPECT_EQ(refusal(R"({"colur": "red"})").find("colur is unknown"), 0U);
  EXPECT_EQ(refusal(R"({"parts": [{}, {"rates": 1}]})").find("parts.1.rates is unknown"), 0U);
}

TEST(Options, WrongTypesSayWhatIsExpected) {
  EXPECT_EQ(refusal(R"({"fast": "yes"})"), "fast must be true or false; it is the text 'yes'");
  EXPECT_EQ(refusal(R"({"fast": 1})"), "fast must be true or false; it is 1");
  EXPECT_EQ(refusal(R"({"name": 3})"), "name must be a text; it is 3");
  EXPECT_EQ(refusal(R"({"file": []})"), "file must be a path; it is a list");
  EXPECT_EQ(refusal(R"({"levels": 3})"), "levels must be a list; it is 3");
  EXPECT_EQ(refusal(R"({"levels": [1, "2"]})"), "levels.1 must be a whole number; it is the text '2'");
  EXPECT_EQ(refusal(R"({"shares": [1]})"), "shares must be a mapping; it is a list");
  EXPECT_EQ(refusal(R"({"inner": null})"), "inner must be a mapping; it is empty");
  EXPECT_EQ(refusal(R"({"inner": {"count": 2.5}})"), "inner.count must be a whole number; it is 2.5");
  EXPECT_EQ(refusal(R"({"inner": {"rate": true}})"), "inner.rate must be a number; it is true");
  EXPECT_EQ(refusal("[]"), "the file must be a mapping; it is a list");
}

TEST(Options, RangesAreKept) {
  EXPECT_EQ(refusal(R"({"inner": {"count": 0}})"), "inner.count must be in [1, 10]; it is 0");
  EXPECT_EQ(refusal(R"({"inner": {"count": 11}})"), "inner.count must be in [1, 10]; it is 11");
  EXPECT_EQ(refusal(R"({"inner": {"rate": 0}})"), "inner.rate must be above 0; it is 0");
  EXPECT_EQ(refusal(R"({"levels": [0, -1]})"), "levels.1 must be at least 0; it is -1");
  EXPECT_EQ(refusal(R"({"shares": {"x": 1.5}})"), "shares.x must be in [0, 1]; it is 1.5");
  EXPECT_EQ(refusal(R"({"levels": [18446744073709551615]})"), "levels.0 is too large a number");
  EXPECT_EQ(refusal(R"({"inner": {"count": 1}})"), "it was accepted");
  EXPECT_EQ(refusal(R"({"inner": {"count": 10}})"), "it was accepted");
}

TEST(Options, NumbersAreFinite) {
  for (const double value : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    Outer options;
    EXPECT_THROW(read_options(Json{{"inner", {{"rate", value}}}}, {}, options), UsageError) << value;
  }
}

TEST(Options, EnumsNameTheirValues) {
  EXPECT_EQ(refusal(R"({"colour": "blue"})"), "colour must be one of red, green; it is the text 'blue'");
  EXPECT_EQ(refusal(R"({"colour": 0})"), "colour must be one of red, green; it is 0");
  EXPECT_EQ(name_of(Colour::green), "green");
}

TEST(Options, ChecksOfCombinationsHaveTheWholeKey) {
  EXPECT_EQ(refusal(R"({"inner": {"rate": 4}})"), "inner.rate must be at most count");
  EXPECT_EQ(refusal(R"({"parts": [{"rate": 2, "count": 1}]})"), "parts.0.rate must be at most count");
  EXPECT_EQ(refusal(R"({"inner": {"rate": 4, "count": 5}})"), "it was accepted");
}

TEST(Options, MessagesSayWhereTheKeyIs) {
  const Origins origins = {
      {"", {"run.yaml", ""}}, {"inner", {"run.yaml:4", ""}}, {"inner.rate", {"--set inner.rate=-1", ""}}};
  EXPECT_EQ(refusal(R"({"inner": {"rate": -1}})", origins),
            "--set inner.rate=-1: inner.rate must be above 0; it is -1");
  EXPECT_EQ(refusal(R"({"inner": {"count": 0}})", origins), "run.yaml:4: inner.count must be in [1, 10]; it is 0");
  EXPECT_EQ(refusal(R"({"fast": 0})", origins), "run.yaml: fast must be true or false; it is 0");
}

TEST(Options, PathsStartFromTheirFile) {
  const Origins origins = {{"", {"run.yaml", "/home/me/runs"}}, {"name", {"--set", ""}}};
  EXPECT_EQ(read(R"({"file": "data/x"})", origins).file, "/home/me/runs/data/x");
  EXPECT_EQ(read(R"({"file": "../x"})", origins).file, "/home/me/x");
  EXPECT_EQ(read(R"({"file": "/x"})", origins).file, "/x");
  EXPECT_EQ(read(R"({"file": ""})", origins).file, "");
  EXPECT_EQ(read(R"({"file": null})", origins).file, "");  // `file:` without a value
  // A key of its own origin, such as --set, starts from that one's folder.
  EXPECT_EQ(read(R"({"file": "x"})", {{"", {"run.yaml", "/a"}}, {"file", {"--set file=x", "/here"}}}).file, "/here/x");
}

TEST(Options, RangesInWords) {
  EXPECT_EQ(at_least(2).text(), "at least 2");
  EXPECT_EQ(above(0.5).text(), "above 0.5");
  EXPECT_EQ(between(0, 1).text(), "in [0, 1]");
  EXPECT_EQ(Range{.max = 4}.text(), "at most 4");
}

}  // namespace
}  // namespace codmoe::core
