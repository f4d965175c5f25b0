#include "codmoe/report/html.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "codmoe/core/files.h"
#include "codmoe/report/folders.h"
#include "folder.h"

namespace codmoe::report {
namespace {

class Html : public FolderTest {
 protected:
  std::string page(const Evaluation& evaluation) const {
    write_html(dir_ / "report", {&evaluation, 1});
    const auto entries = std::filesystem::directory_iterator(dir_ / "report");
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
    return core::read_file(dir_ / "report" / "index.html");
  }

  // The picture whose alternative text is `alt`, decoded; its file.
  std::filesystem::path picture_file(const std::string& html, const std::string& alt) const {
    const std::size_t end = html.find("\" alt=\"" + alt + "\"");
    const std::size_t start = html.rfind("base64,", end) + 7;
    std::ofstream(dir_ / "picture.png", std::ios::binary) << decode(html.substr(start, html.find('"', start) - start));
    return dir_ / "picture.png";
  }

  at::Tensor picture(const std::string& html, const std::string& alt) const {
    return data::read_mask(picture_file(html, alt));
  }

  static std::string decode(const std::string& base64) {
    std::string bytes;
    uint32_t bits = 0;
    int n = 0;
    for (const char c : base64.substr(0, base64.find('='))) {
      const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
      bits = bits << 6 | static_cast<uint32_t>(digits.find(c));
      n += 6;
      if (n < 8) continue;
      n -= 8;
      bytes += static_cast<char>(bits >> n & 255);
    }
    return bytes;
  }

  std::filesystem::path pred_file() const { return pred() / "a.png"; }

  static constexpr EvaluationOptions with_pictures{.score = {}, .threads = 1, .thumbnail = report_thumbnail};
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_F(Html, ShowsTablesHistogramAndPictures) {
  write_pair("a", 0);
  write_pair("b", 10);
  const at::Tensor colour = at::tensor({200, 90, 30}, at::kByte);
  data::write_png(images() / "a.png", colour.expand({40, 50, 3}));
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures, "CAMO"));
  EXPECT_TRUE(contains(
      html, "<tr><th scope=\"row\">IoU ↑</th><td>0.7500<br><span class=\"quiet\">0.500–1.000</span></td></tr>"));
  EXPECT_TRUE(contains(html, "<th scope=\"row\">overall_biiou</th>"));
  EXPECT_EQ(count(html, "<svg class=\"chart\""), 3U);
  EXPECT_EQ(count(html, "<svg class=\"histogram\""), 1U);
  EXPECT_TRUE(contains(html, "<title>0.50 to 0.55: 1</title>"));
  EXPECT_TRUE(contains(html, "<title>0.95 to 1.00: 1</title>"));
  EXPECT_EQ(count(html, "<img"), 7U);  // only one photograph is there
  EXPECT_TRUE(picture(html, "mask of b").equal(square(0)));
  EXPECT_TRUE(picture(html, "prediction of b").equal(square(10)));
  const at::Tensor photograph = data::read_image(picture_file(html, "photograph of a"));
  ASSERT_EQ(photograph.sizes(), (at::IntArrayRef{40, 50, 3}));
  EXPECT_LE((photograph.to(at::kInt) - colour.to(at::kInt)).abs().max().item<int>(), 4) << "JPEG's rounding";
}

TEST_F(Html, ErrorsAreRedWhereMissedAndBlueWhereFalse) {
  data::write_png(gt() / "a.png", square(0));
  at::Tensor pred = square(10);
  pred[12][40] = 60;
  pred[13][40] = 150;
  pred.slice(0, 25, 26).fill_(20);
  pred.clamp_(20, 200);  // stretched, the threshold is 110
  data::write_png(pred_file(), pred);
  const auto map =
      data::read_image(picture_file(page(evaluate_folders(this->pred(), gt(), with_pictures)), "errors of a"));
  ASSERT_EQ(map.sizes(), (at::IntArrayRef{40, 50, 3}));
  const auto is = [&](int64_t y, int64_t x, std::vector<int64_t> rgb) {
    return map[y][x].to(at::kLong).equal(at::tensor(rgb));
  };
  EXPECT_TRUE(is(22, 12, {0xe8, 0xe8, 0xe8})) << "found";
  EXPECT_TRUE(is(12, 12, {0xdd, 0x3b, 0x26})) << "missed";
  EXPECT_TRUE(is(25, 12, {0xdd, 0x3b, 0x26})) << "missed";
  EXPECT_TRUE(is(13, 40, {0x36, 0x8b, 0xf0})) << "false alarm";
  EXPECT_TRUE(is(12, 40, {0x1d, 0x20, 0x1e})) << "background";
}

TEST_F(Html, CurvesHaveALineForEachRun) {
  write_pair("a", 5);
  std::vector<Evaluation> runs;
  for (const char* run : {"one", "two", "<three>"}) {
    runs.emplace_back(run);
    runs.back().add("set", {"a", {}, gt() / "a.png"}, square(static_cast<int64_t>(5 * runs.size())));
  }
  write_html(dir_ / "report", runs);
  const std::string html = core::read_file(dir_ / "report" / "index.html");
  EXPECT_EQ(count(html, "<path class=\"line c"), 3U * 3U + 3U);  // and the legend's
  // Of a binary map, recall and precision are the same at every threshold from 1 on: 3/4 and 1 of the first run.
  EXPECT_TRUE(contains(html, "<path class=\"line c0\" d=\"M326.0 178.0L256.0 10.0L256.0 10.0"));
  EXPECT_TRUE(contains(html, "<title>one: highest precision 1.0000 at threshold 1</title>"));
  EXPECT_TRUE(contains(html, "&lt;three&gt;</li>"));
  // The best of three stands in bold, and every part can be reached.
  EXPECT_TRUE(contains(html, "<th scope=\"row\">IoU ↑</th><td><b>0.7500</b><br>"));
  EXPECT_TRUE(contains(html, "</td><td>0.5000<br>"));
  for (const char* part : {"part-0", "part-1", "part-2"}) {
    EXPECT_TRUE(contains(html, fmt::format("<a href=\"#{}\">", part)));
    EXPECT_TRUE(contains(html, fmt::format("<section id=\"{}\">", part)));
  }
}

TEST_F(Html, NeedsNoOtherFileAndNoNetwork) {
  write_pair("a", 0);
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures));
  EXPECT_FALSE(contains(html, "http"));
  EXPECT_FALSE(contains(html, "<link"));
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_EQ(count(html, "src="), count(html, "src=\"data:image/"));
}

TEST_F(Html, OfManyImagesTheBestMedianAndWorst) {
  for (int64_t i = 0; i < 18; ++i) write_pair(std::string(1, static_cast<char>('a' + i)), i);
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures));
  std::map<std::size_t, char> places;
  for (const std::string tag : {"<strong>", "<h3>"}) {
    for (auto at = html.find(tag); at != std::string::npos; at = html.find(tag, at + 1))
      places[at] = html[at + tag.size()];
  }
  std::string order;
  for (const auto& [at, letter] : places) order += letter;
  EXPECT_EQ(order, "BBabcdAhijkWopqr");  // B(y size, number…), B(est), A(round the median), W(orst)
}

TEST_F(Html, NamesAreEscaped) {
  write_pair("<b>&\"", 0);
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures, "<set>"));
  EXPECT_TRUE(contains(html, "<strong>&lt;b&gt;&amp;&quot;</strong>"));
  EXPECT_TRUE(contains(html, "<h2>&lt;set&gt;</h2>"));
}

TEST_F(Html, LargePicturesAreReduced) {
  data::write_png(gt() / "a.png", data::resize(square(0), 600, 300, data::Interpolation::nearest));
  data::write_png(pred() / "a.png", data::resize(square(0), 600, 300, data::Interpolation::nearest));
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures));
  EXPECT_EQ(picture(html, "mask of a").sizes(), (at::IntArrayRef{256, 128}));
  EXPECT_EQ(picture(html, "prediction of a").sizes(), (at::IntArrayRef{256, 128}));
}

}  // namespace
}  // namespace codmoe::report
