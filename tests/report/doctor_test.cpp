#include "codmoe/report/doctor.h"

#include <fstream>

#include "codmoe/core/files.h"
#include "folder.h"

namespace codmoe::report {
namespace {

/// A set whose findings are written by hand.
class DoctorReport : public FolderTest {
 protected:
  DoctorReport() {
    data::write_png(gt() / "a<b.png", square(0));
    data::write_png(images() / "a<b.png", square(0));
    set_.dir = dir_;
    set_.pairs = {pair("a", 100, 0.05, false), pair("b", 300, 0.2, true), pair("c", 200, 0.6, true)};
    set_.location[16 * 3 + 5] = 0.25;
    for (int i = 0; i < 8; ++i) {
      set_.findings.push_back({data::Fault::grey_photograph, false, images() / (std::to_string(i) + ".jpg"), "grey"});
    }
    set_.findings.push_back({data::Fault::full_mask, true, gt() / "a<b.png", "5 > 4", images() / "a<b.png"});
  }

  static data::PairFacts pair(const std::string& name, int64_t width, double coverage, bool at_border) {
    data::PairFacts facts;
    facts.name = name;
    facts.width = width;
    facts.height = 50;
    facts.coverage = coverage;
    facts.touches_border = at_border;
    return facts;
  }
  std::string page() const {
    write_examination_page(dir_ / "report", {&set_, 1});
    const auto entries = std::filesystem::directory_iterator(dir_ / "report");
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
    return core::read_file(dir_ / "report/index.html");
  }
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t n = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
  }

  data::Examination set_;
};

TEST_F(DoctorReport, TextPutsFaultsFirstAndShortensLongLists) {
  const std::string text = format_examinations({&set_, 1});
  EXPECT_TRUE(contains(text, ": 3 pairs read, 1 fault, 8 notes\n"));
  EXPECT_TRUE(contains(text, "GT/a<b.png: 5 > 4\n"));
  EXPECT_LT(text.find("full-mask"), text.find("grey-photograph"));
  EXPECT_TRUE(contains(text, "Imgs/4.jpg: grey\n           and 3 more\n"));
  EXPECT_FALSE(contains(text, "Imgs/5.jpg"));
  EXPECT_TRUE(contains(text, "small 1, medium 1, big 1, touching the border 2"));
}

TEST_F(DoctorReport, JsonHasEverything) {
  data::Examination clean;
  clean.dir = "clean";
  const auto json = core::Json::parse(to_json(std::vector{set_, clean}).dump());
  EXPECT_TRUE(json["falsifies_scores"].get<bool>());
  const auto& set = json["datasets"][0];
  EXPECT_EQ(set["pairs"], 3);
  EXPECT_EQ(set["faults"], 1);
  EXPECT_EQ(set["notes"], 8);
  EXPECT_EQ(set["kinds"], (core::Json{{"full-mask", 1}, {"grey-photograph", 8}}));
  EXPECT_EQ(set["findings"].size(), 9U);
  EXPECT_EQ(set["findings"][8]["file"], (gt() / "a<b.png").string());
  EXPECT_EQ(set["findings"][8]["other"], (images() / "a<b.png").string());
  EXPECT_EQ(set["statistics"]["width"], (core::Json{{"least", 100.0}, {"median", 200.0}, {"most", 300.0}}));
  EXPECT_EQ(set["statistics"]["location"][3][5], 0.25);
  EXPECT_EQ(set["statistics"]["sizes"]["big"], 1);
  EXPECT_FALSE(json["datasets"][1].contains("statistics"));
  EXPECT_FALSE(to_json(std::vector{clean})["falsifies_scores"].get<bool>());
}

TEST_F(DoctorReport, ThePageShowsWhatWasFoundAndNeedsNoOtherFile) {
  const std::string html = page();
  EXPECT_TRUE(contains(html, "<strong>GT/a&lt;b.png</strong> 5 &gt; 4"));
  EXPECT_EQ(count(html, "src=\"data:image/png;base64,"), 2U);  // the mask and its photograph
  EXPECT_EQ(count(html, "src="), 2U);
  EXPECT_EQ(count(html, ": no picture"), 6U);  // of files that are not there
  EXPECT_TRUE(contains(html, "<summary>2 more</summary>"));
  EXPECT_EQ(count(html, "opacity=\"1.00\""), 1U);
  for (const char* outside : {"http", "<link", "<script"}) EXPECT_FALSE(contains(html, outside)) << outside;
}

TEST_F(DoctorReport, AFolderThatCannotBeMadeIsNamed) {
  std::ofstream(dir_ / "report") << "x";
  try {
    write_examination_page(dir_ / "report", {&set_, 1});
    FAIL() << "no error";
  } catch (const core::Error& error) {
    EXPECT_TRUE(contains(error.what(), (dir_ / "report").string()));
  }
}

}  // namespace
}  // namespace codmoe::report
