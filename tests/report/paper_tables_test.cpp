#include <algorithm>
#include <sstream>

#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/report_folder.h"
#include "folder.h"

namespace codmoe::report {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> list;
  for (std::string line; std::getline(stream, line);) list.push_back(line);
  return list;
}

std::ptrdiff_t headline_count() { return std::ranges::count_if(metrics::columns(), &metrics::Column::headline); }

class PaperTables : public FolderTest {
 protected:
  Evaluation evaluate(const std::string& run, int64_t missed) const {
    data::write_png(gt() / "mask.png", square(0));
    Evaluation evaluation(run);
    for (const char* dataset : {"CAMO", "COD_10K & <more>"}) {
      evaluation.add(dataset, {"one", {}, gt() / "mask.png"}, square(missed));
    }
    return evaluation;
  }
  const std::vector<Evaluation> runs_{evaluate("half|of_it", 10), evaluate("most", 5), evaluate("most again", 5)};
};

TEST_F(PaperTables, MarkdownHasTheBestOfEachDatasetInBold) {
  const auto lines = lines_of(to_markdown(runs_));
  ASSERT_GE(lines.size(), 9U);
  EXPECT_TRUE(lines[0].starts_with("| dataset | run | n | Smeasure ↑ | wFmeasure ↑ | MAE ↓ |")) << lines[0];
  EXPECT_TRUE(lines[2].starts_with("| CAMO | half\\|of\\_it | 1 | 0.")) << lines[2];
  EXPECT_TRUE(contains(lines[3], " 0.7500 |") || contains(lines[3], " **0.7500** |"));
  for (const std::size_t i : {3U, 4U, 6U, 7U}) {  // two share the first place
    EXPECT_TRUE(contains(lines[i], "| **0.0500** |")) << "MAE, where less is better";
    EXPECT_TRUE(lines[i].ends_with("| **0.7500** |")) << lines[i];
  }
  EXPECT_FALSE(contains(lines[2], "**"));
  EXPECT_TRUE(contains(lines[5], "| COD\\_10K &amp; &lt;more&gt; |"));
  const auto bars = headline_count() + 4;
  for (std::size_t i = 0; i < 8; ++i)
    EXPECT_EQ(std::ranges::count(lines[i], '|') - (i == 2 || i == 5), bars) << lines[i];
  EXPECT_TRUE(contains(to_markdown(runs_), "PySODMetrics 1.6.2"));
  EXPECT_TRUE(contains(to_markdown(runs_), "- inputs: most, CAMO: n 1, masks "));
}

TEST_F(PaperTables, LatexIsATabularOfBooktabs) {
  const std::string text = to_latex(runs_);
  EXPECT_TRUE(
      contains(text, "\\begin{tabular}{llr" + std::string(static_cast<std::size_t>(headline_count()), 'c') +
                         "}\n\\toprule\nDataset & Method & $n$ & $S_\\alpha\\uparrow$ & $F_\\beta^w\\uparrow$ & "
                         "$M\\downarrow$"));
  EXPECT_TRUE(contains(text, "\\midrule\nCAMO & half|of\\_it & 1 & 0."));
  EXPECT_TRUE(contains(text, "\n & most & 1 & \\textbf{0."));
  EXPECT_TRUE(contains(text, "\\midrule\nCOD\\_10K \\& \\textless{}more\\textgreater{} & half"));
  EXPECT_TRUE(text.ends_with(" & \\textbf{0.7500} \\\\\n\\bottomrule\n\\end{tabular}\n"));
  EXPECT_EQ(std::ranges::count(text, '{'), std::ranges::count(text, '}'));
  EXPECT_TRUE(contains(text, "% inputs: most, CAMO: n 1, masks "));
}

TEST_F(PaperTables, ALineBreakInANameBreaksNoTable) {
  const Evaluation run = evaluate("a\n\\input{secret}%", 5);
  const std::vector<Evaluation> runs{run, evaluate("b", 5)};
  EXPECT_TRUE(contains(to_latex(runs), "CAMO & a \\textbackslash{}input\\{secret\\}\\% & 1"));
  EXPECT_FALSE(contains(to_latex(runs), "\n\\input"));
  EXPECT_TRUE(contains(to_markdown(runs), "| a \\\\input{secret}% | 1 |"));
}

TEST_F(PaperTables, OneRunHasNoBest) {
  EXPECT_FALSE(contains(to_markdown({runs_.data(), 1}), "**"));
  EXPECT_FALSE(contains(to_latex({runs_.data(), 1}), "\\textbf"));
}

TEST_F(PaperTables, CurvesHaveALineForEachThreshold) {
  const auto lines = lines_of(to_curves_csv({&runs_[1], 1}));
  ASSERT_EQ(lines.size(), 1U + 2 * 256);
  EXPECT_EQ(lines[0], "run,dataset,threshold,precision,recall,Fm,Em");
  EXPECT_TRUE(lines[1].starts_with("most,CAMO,0,0.2,1,")) << lines[1];  // 400 of 2000 pixels
  EXPECT_TRUE(lines[256].starts_with("most,CAMO,255,1,0.75,")) << lines[256];
}

TEST_F(PaperTables, TheReportFolderHoldsAllForms) {
  write_report(dir_ / "deep" / "report", runs_);
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "deep" / "report")) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  EXPECT_EQ(names, (std::vector<std::string>{"curves.csv", "images.csv", "index.html", "scores.json", "table.md",
                                             "table.tex"}));
}

}  // namespace
}  // namespace codmoe::report
