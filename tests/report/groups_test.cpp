#include "codmoe/report/groups.h"

#include <map>

#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/html.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Groups : public FolderTest {
 protected:
  /// A square of `side` pixels for each corner in a mask of 60 x 60, and a prediction of its left half.
  void add(const std::string& name, int64_t side, const std::vector<std::pair<int64_t, int64_t>>& corners) {
    at::Tensor mask = at::zeros({60, 60}, at::kByte);
    at::Tensor pred = mask.clone();
    for (const auto& [y, x] : corners) {
      mask.slice(0, y, y + side).slice(1, x, x + side).fill_(255);
      pred.slice(0, y, y + side).slice(1, x, x + side / 2).fill_(255);
    }
    data::write_png(gt() / (name + ".png"), mask);
    evaluation_.add("set", {name, {}, gt() / (name + ".png")}, name == "whole" ? mask : pred);
  }

  std::map<std::string, int64_t> sizes() const {
    std::map<std::string, int64_t> sizes;
    for (const GroupScores& group : scores_by_group(evaluation_.dataset("set"))) {
      sizes[std::string(group.grouping) + ": " + std::string(group.group)] = group.summary.n;
    }
    return sizes;
  }

  /// One empty mask, a small object in the centre, two off the centre, three at the border, and a big one.
  void add_one_of_each() {
    add("empty", 4, {});
    add("centre", 10, {{25, 25}});
    add("two", 10, {{2, 2}, {2, 30}});
    add("three", 16, {{0, 5}, {20, 25}, {40, 5}});
    add("whole", 56, {{2, 2}});
  }

  Evaluation evaluation_{"run"};
};

TEST_F(Groups, AreBySizeNumberAndLocation) {
  add_one_of_each();
  const std::map<std::string, int64_t> expected{
      {"size: no object", 1},     {"size: small", 2},      {"size: medium", 1},         {"size: big", 1},
      {"objects: no object", 1},  {"objects: one", 2},     {"objects: two", 1},         {"objects: three or more", 1},
      {"location: no object", 1}, {"location: centre", 2}, {"location: off centre", 1}, {"location: border", 1}};
  EXPECT_EQ(sizes(), expected);
}

TEST_F(Groups, TheCentreIsTheMiddleThird) {
  add("left", 10, {{25, 15}});  // centre of mass at 20 of 60
  add("outside", 10, {{25, 14}});
  add("below", 10, {{36, 25}});
  EXPECT_EQ(sizes()["location: centre"], 1);
  EXPECT_EQ(sizes()["location: off centre"], 2);
}

TEST_F(Groups, AGroupIsScoredLikeADatasetOfItsImages) {
  add_one_of_each();
  Evaluation small("small");
  for (const char* name : {"centre", "two"}) {
    for (const ImageResult& image : evaluation_.dataset("set").images()) {
      if (image.item.name == name) small.add("set", image);
    }
  }
  for (const GroupScores& group : scores_by_group(evaluation_.dataset("set"))) {
    if (group.grouping != "size" || group.group != "small") continue;
    const metrics::Summary expected = small.dataset("set").summary();
    for (const auto& column : metrics::columns()) {
      if (column.extended) continue;
      EXPECT_EQ(group.summary.at(column.name), expected.at(column.name)) << column.name;
    }
    EXPECT_DOUBLE_EQ(group.summary.at("IoU"), 0.5);
    return;
  }
  ADD_FAILURE() << "no group of small objects";
}

TEST_F(Groups, AreInTableJsonAndPage) {
  add_one_of_each();
  const std::string table = format_table({&evaluation_, 1});
  EXPECT_TRUE(contains(table, "\nset      objects   three or more  1 "));
  EXPECT_TRUE(contains(table, "\nlocation: border: an object has a pixel in"));
  const auto json = to_json({&evaluation_, 1});
  EXPECT_EQ(json["groups"]["set"]["location"]["border"]["n"], 1);
  EXPECT_EQ(json["groups"]["set"]["size"]["big"]["IoU"], 1);
  EXPECT_TRUE(json["group_conventions"]["objects"].is_string());
  write_html(dir_ / "report", {&evaluation_, 1});
  const auto page = core::read_file(dir_ / "report" / "index.html");
  EXPECT_TRUE(contains(page, "<th scope=\"colgroup\" colspan=\"4\">objects</th>"));
  EXPECT_TRUE(contains(page, "<th scope=\"col\">off centre<br><span class=\"quiet\">n = 1</span></th>"));
}

}  // namespace
}  // namespace codmoe::report
