#include "codmoe/report/expert_load.h"

#include <sstream>

#include "codmoe/core/files.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/html.h"
#include "codmoe/report/object_size.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Experts : public FolderTest {
 protected:
  /// A mask of 10 x 10 pixels, `foreground` of them in the object.
  ImageResult image(const std::string& name, int64_t foreground, ExpertUse use) const {
    at::Tensor mask = at::zeros({10, 10}, at::kByte);
    mask.flatten().slice(0, 0, foreground).fill_(255);
    data::write_png(gt() / (name + ".png"), mask);
    ImageResult result = score_item({name, {}, gt() / (name + ".png")}, mask, {});
    result.expert_use = {std::move(use)};
    return result;
  }

  /// Two small objects, a medium and a big one, and an empty mask; global routing, top-2 of three experts.
  Evaluation evaluation() const {
    Evaluation evaluation("swift");
    evaluation.set_layers({{"moe.0", {"edge", "texture", "edge.2"}}});
    evaluation.add("CAMO", image("a", 10, {{1, 1, 0}, {0.75, 0.25, 0}}));
    evaluation.add("CAMO", image("b", 1, {{1, 0, 1}, {0.4, 0, 0.6}}));
    evaluation.add("CAMO", image("c", 11, {{0, 1, 1}, {0, 0.5, 0.5}}));
    evaluation.add("CAMO", image("d,e", 50, {{1, 1, 0}, {0.125, 0.875, 0}}));
    evaluation.add("CAMO", image("f", 0, {{1, 1, 0}, {0.5, 0.5, 0}}));
    return evaluation;
  }
};

TEST_F(Experts, SizesHaveTheThresholdsOfCOD10K) {
  const auto size = [&](int64_t foreground) { return name_of(object_size(image("m", foreground, {}))); };
  EXPECT_EQ(size(0), "no object");
  EXPECT_EQ(size(1), "small");
  EXPECT_EQ(size(10), "small");
  EXPECT_EQ(size(11), "medium");
  EXPECT_EQ(size(49), "medium");
  EXPECT_EQ(size(50), "big");
  EXPECT_TRUE(contains(object_size_convention(), "small at most 10 %, big at least 50 %"));
}

TEST_F(Experts, LoadIsTheShareOfChoicesByGroup) {
  const Evaluation all = evaluation();
  const auto loads = expert_loads(all.dataset("CAMO"), 0);
  ASSERT_EQ(loads.size(), 5U);
  EXPECT_EQ(loads[0].group, "all");
  EXPECT_EQ(loads[0].n, 5);
  EXPECT_EQ(loads[0].load, (std::vector<double>{0.4, 0.4, 0.2}));
  EXPECT_EQ(loads[1].group, "no object");
  EXPECT_EQ(loads[2].group, "small");
  EXPECT_EQ(loads[2].n, 2);
  EXPECT_EQ(loads[2].load, (std::vector<double>{0.5, 0.25, 0.25}));
  EXPECT_EQ(loads[3].load, (std::vector<double>{0, 0.5, 0.5}));
  EXPECT_EQ(loads[4].group, "big");
  EXPECT_TRUE(expert_loads(all.dataset("CAMO"), 1).empty());
}

TEST_F(Experts, AreInTheJsonBesideTheScores) {
  const Evaluation all = evaluation();
  const auto json = to_json({&all, 1});
  const auto& layer = json["experts"]["CAMO"]["moe.0"];
  EXPECT_EQ(layer["all"]["n"], 5);
  EXPECT_DOUBLE_EQ(layer["small"]["load"]["edge.2"].get<double>(), 0.25);
}

TEST_F(Experts, WithoutAModelNothingIsSaidOfThem) {
  Evaluation folder("folder");
  folder.add("CAMO", {"a", {}, image("a", 10, {}).item.mask}, at::zeros({10, 10}, at::kByte));
  const auto json = to_json({&folder, 1});
  EXPECT_FALSE(json.contains("experts"));
  write_html(dir_ / "report", {&folder, 1});
  EXPECT_FALSE(contains(core::read_file(dir_ / "report" / "index.html"), "Load of the experts"));
  EXPECT_EQ(to_routing_csv({&folder, 1}), "run,dataset,name,layer,expert,rank,share,weight\n");
}

TEST_F(Experts, RoutingHasALineForEachExpertUsed) {
  const Evaluation all = evaluation();
  write_routing_csv(dir_ / "routing.csv", {&all, 1});
  std::istringstream csv(core::read_file(dir_ / "routing.csv"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(csv, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 11U);
  EXPECT_EQ(lines[0], "run,dataset,name,layer,expert,rank,share,weight");
  EXPECT_EQ(lines[1], "swift,CAMO,a,moe.0,edge,1,1.000000,0.750000");
  EXPECT_EQ(lines[2], "swift,CAMO,a,moe.0,texture,2,1.000000,0.250000");
  EXPECT_EQ(lines[3], "swift,CAMO,b,moe.0,edge.2,1,1.000000,0.600000");
  EXPECT_EQ(lines[7], "swift,CAMO,\"d,e\",moe.0,texture,1,1.000000,0.875000");
}

TEST_F(Experts, PageShowsATableWithBars) {
  const Evaluation all = evaluation();
  write_html(dir_ / "report", {&all, 1});
  const auto page = core::read_file(dir_ / "report" / "index.html");
  EXPECT_TRUE(contains(page, "<h3>Load of the experts, moe.0</h3>"));
  EXPECT_TRUE(contains(page, "<th scope=\"col\">small<br><span class=\"quiet\">n = 2</span></th>"));
  // The highest load, a half, fills the bar; an even share, a third, ends at two thirds of it.
  EXPECT_TRUE(contains(page, "<th scope=\"row\">edge.2</th><td>20.0 %<div class=\"load\"><i style=\"width:40.0%\">"));
  EXPECT_TRUE(contains(page, "--even:66.7%"));
  EXPECT_TRUE(contains(page, object_size_convention()));
}

}  // namespace
}  // namespace codmoe::report
