#include "codmoe/report/html.h"

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

  // The picture whose alternative text is `alt`, decoded.
  at::Tensor picture(const std::string& html, const std::string& alt) const {
    const std::size_t end = html.find("\" alt=\"" + alt + "\"");
    const std::size_t start = html.rfind("base64,", end) + 7;
    std::ofstream(dir_ / "picture.png", std::ios::binary) << decode(html.substr(start, html.find('"', start) - start));
    return data::read_mask(dir_ / "picture.png");
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
  data::write_png(images() / "a.png", at::full({40, 50, 3}, 90, at::kByte));
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures, "CAMO"));
  EXPECT_TRUE(contains(html, "<tr><th scope=\"row\">IoU</th><td>0.7500</td></tr>"));
  EXPECT_TRUE(contains(html, "<th scope=\"row\">overall_biiou</th>"));
  EXPECT_EQ(count(html, "<svg"), 1U);
  EXPECT_TRUE(contains(html, "<title>0.50 to 0.55: 1</title>"));
  EXPECT_TRUE(contains(html, "<title>0.95 to 1.00: 1</title>"));
  EXPECT_EQ(count(html, "<img"), 5U);  // only one photograph is there
  EXPECT_TRUE(picture(html, "mask of b").equal(square(0)));
  EXPECT_TRUE(picture(html, "prediction of b").equal(square(10)));
  EXPECT_TRUE(picture(html, "photograph of a").eq(90).all().item<bool>());
}

TEST_F(Html, NeedsNoOtherFileAndNoNetwork) {
  write_pair("a", 0);
  const std::string html = page(evaluate_folders(pred(), gt(), with_pictures));
  EXPECT_FALSE(contains(html, "http"));
  EXPECT_FALSE(contains(html, "<link"));
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_EQ(count(html, "src="), count(html, "src=\"data:image/png;base64,"));
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
  EXPECT_EQ(order, "BabcdAhijkWopqr");  // B(est), A(round the median), W(orst)
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
