// A folder with a fault of every kind, and folders without any.
#include <algorithm>
#include <set>
#include <string>
#include <tuple>

#include "codmoe/data/doctor.h"
#include "codmoe/data/synth.h"
#include "odd_files.h"

namespace codmoe::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kHeight = 48, kWidth = 64;

/// Kind, file below the dataset's folder, whether it falsifies.
using Row = std::tuple<std::string, std::string, bool>;

std::multiset<Row> rows_of(const Examination& set) {
  std::multiset<Row> rows;
  for (const Finding& finding : set.findings) {
    rows.emplace(core::name_of(finding.fault), finding.file.lexically_relative(set.dir).string(), finding.falsifies);
  }
  return rows;
}

std::string text_of(const Row& row) {
  return std::get<0>(row) + " of " + std::get<1>(row) + (std::get<2>(row) ? " (fault)" : " (note)");
}

/// The differences, both ways.
std::string difference(const std::multiset<Row>& found, const std::multiset<Row>& wanted) {
  std::string text;
  for (const Row& row : wanted) {
    if (!found.contains(row)) text += "not found: " + text_of(row) + "\n";
  }
  for (const Row& row : found) {
    if (!wanted.contains(row)) text += "false alarm: " + text_of(row) + "\n";
  }
  return text;
}

class PlantedTest : public FolderTest {
 protected:
  fs::path image(const std::string& file) const { return dir_ / "Imgs" / file; }
  fs::path mask(const std::string& file) const { return dir_ / "GT" / file; }

  /// A pair without fault, unlike all others.
  SynthSample plant(const std::string& name, int64_t height = kHeight, int64_t width = kWidth) {
    const int64_t size = std::max({height, width, int64_t{64}});
    SynthSample sample = make_synth_sample({.size = size, .seed = 11, .min_coverage = 0.1, .max_objects = 1}, ++pairs_);
    sample.image = sample.image.slice(0, 0, height).slice(1, 0, width).contiguous();
    sample.mask = at::zeros({height, width}, at::kByte);
    sample.mask.slice(0, height / 4, height / 2 + pairs_ % 7).slice(1, width / 4, width / 2 + pairs_ % 11).fill_(255);
    fs::create_directories(dir_ / "Imgs");
    fs::create_directories(dir_ / "GT");
    write_png(image(name + ".png"), sample.image);
    write_png(mask(name + ".png"), sample.mask);
    return sample;
  }
  /// A pair without fault but that its mask has these values.
  void plant_mask(const std::string& name, const at::Tensor& values) {
    plant(name);
    write_png(mask(name + ".png"), values);
  }
  void want(Fault fault, const std::string& file, bool falsifies) {
    wanted_.emplace(core::name_of(fault), file, falsifies);
  }

  void plant_names();
  void plant_unreadable_files();
  void plant_photographs();
  void plant_kinds_of_masks();
  void plant_values_of_masks();
  void plant_copies();
  void plant_lists();

  int64_t pairs_ = 0;
  std::multiset<Row> wanted_;
};

void PlantedTest::plant_names() {
  plant("alone");
  fs::remove(mask("alone.png"));
  want(Fault::unpaired, "Imgs/alone.png", true);
  plant("orphan");
  fs::remove(image("orphan.png"));
  want(Fault::unpaired, "GT/orphan.png", true);
  plant("twice");
  fs::copy_file(image("twice.png"), image("twice.webp"));
  want(Fault::duplicate_name, "Imgs/twice.webp", true);
  plant("Case");
  plant("case");
  want(Fault::case_clash, "Imgs/case.png", false);
  want(Fault::case_clash, "GT/case.png", false);
  plant("linked");
  fs::remove(image("linked.png"));
  fs::create_symlink("nowhere.png", image("linked.png"));
  want(Fault::broken_link, "Imgs/linked.png", true);
  write_bytes(image("Thumbs.db"), "x");
  fs::create_directories(mask("more"));
  write_bytes(image(".hidden"), "x");
  want(Fault::foreign_file, "Imgs/Thumbs.db", false);
  want(Fault::foreign_file, "GT/more", false);
}

void PlantedTest::plant_unreadable_files() {
  plant("nothing");
  write_bytes(image("nothing.png"), "");
  want(Fault::empty_file, "Imgs/nothing.png", true);
  plant("cut");
  const std::string whole = read_bytes(mask("cut.png"));
  write_bytes(mask("cut.png"), whole.substr(0, whole.size() - 20));
  want(Fault::truncated, "GT/cut.png", true);
  plant("prose");
  write_bytes(image("prose.png"), "<html>404: this is what the server sent instead</html>");
  want(Fault::not_an_image, "Imgs/prose.png", true);
  plant("noise");
  fs::remove(image("noise.png"));
  write_bytes(image("noise.bmp"), "BM" + std::string(100, '\1'));
  want(Fault::unreadable, "Imgs/noise.bmp", true);
  plant("renamed");
  fs::rename(image("renamed.png"), image("renamed.jpg"));
  want(Fault::wrong_extension, "Imgs/renamed.jpg", false);
}

void PlantedTest::plant_photographs() {
  plant("sizes");
  write_png(mask("sizes.png"), test_mask(kHeight, kWidth + 1));
  want(Fault::size_mismatch, "GT/sizes.png", true);
  plant("turned");
  fs::remove(image("turned.png"));
  write_bytes(image("turned.jpg"), with_orientation(jpeg_photograph(), 6));
  want(Fault::exif_rotation, "Imgs/turned.jpg", true);
  const SynthSample upside_down = plant("upside_down");
  std::string exif = from_hex(
      "4d4d002a000000080001011200030000000100030000"
      "00000000");
  write_bytes(image("upside_down.png"), png_bytes(upside_down.image, 8, 2, png_chunk("eXIf", exif)));
  want(Fault::exif_rotation, "Imgs/upside_down.png", false);
  plant("tiny", 20, 24);
  want(Fault::tiny_image, "Imgs/tiny.png", false);
  plant("long", 40, 200);
  want(Fault::extreme_aspect, "Imgs/long.png", false);
  const SynthSample grey = plant("grey_photograph");
  write_png(image("grey_photograph.png"), grey.image.select(2, 0));
  want(Fault::grey_photograph, "Imgs/grey_photograph.png", false);
  plant("blank");
  write_png(image("blank.png"), at::full({kHeight, kWidth, 3}, 90, at::kByte));
  want(Fault::blank_photograph, "Imgs/blank.png", false);
  plant("cmyk");
  fs::remove(image("cmyk.png"));
  write_bytes(image("cmyk.jpg"), jpeg_cmyk());
  want(Fault::cmyk_photograph, "Imgs/cmyk.jpg", false);
  const SynthSample clear = plant("clear");
  write_bytes(image("clear.png"), png_bytes(at::cat({clear.image, clear.mask.unsqueeze(2)}, 2), 8, 6));
  want(Fault::alpha_channel, "Imgs/clear.png", false);
}

void PlantedTest::plant_kinds_of_masks() {
  const auto values = [](const SynthSample& sample) { return sample.mask.unsqueeze(2); };
  write_bytes(mask("sixteen.png"), png_bytes(values(plant("sixteen")), 16, 0));
  want(Fault::sixteen_bit, "GT/sixteen.png", false);
  const std::string black_to_white = [] {
    std::string entries;
    for (int i = 0; i < 256; ++i) entries.append(3, static_cast<char>(i));
    return png_chunk("PLTE", entries);
  }();
  write_bytes(mask("palette.png"), png_bytes(values(plant("palette")), 8, 3, black_to_white));
  want(Fault::palette_mask, "GT/palette.png", false);
  plant_mask("rgb", plant("rgb").mask.unsqueeze(2).expand({kHeight, kWidth, 3}));
  want(Fault::rgb_mask, "GT/rgb.png", false);
  auto red = at::zeros({kHeight, kWidth, 3}, at::kByte);
  red.slice(0, 10, 20).slice(1, 10, 20).select(2, 0).fill_(255);
  plant_mask("red", red);
  want(Fault::coloured_mask, "GT/red.png", true);
  want(Fault::dark_mask, "GT/red.png", true);
  plant("lossy");
  fs::remove(mask("lossy.png"));
  write_bytes(mask("lossy.jpg"), jpeg_mask());
  want(Fault::lossy_mask, "GT/lossy.jpg", false);
  want(Fault::grey_mask, "GT/lossy.jpg", false);
}

void PlantedTest::plant_values_of_masks() {
  plant_mask("empty", at::zeros({kHeight, kWidth}, at::kByte));
  want(Fault::empty_mask, "GT/empty.png", true);
  plant_mask("full", at::full({kHeight, kWidth}, 255, at::kByte));
  want(Fault::full_mask, "GT/full.png", true);
  plant_mask("zero_one", test_mask(kHeight, kWidth).div(255, "trunc"));
  want(Fault::dark_mask, "GT/zero_one.png", true);
  auto grey = test_mask(kHeight, kWidth);
  grey.slice(0, 40).fill_(100);
  plant_mask("grey", grey);
  want(Fault::grey_mask, "GT/grey.png", true);
  plant_mask("inverted", 255 - test_mask(kHeight, kWidth));
  want(Fault::inverted_mask, "GT/inverted.png", true);
}

void PlantedTest::plant_copies() {
  const SynthSample original = plant("original"), other = plant("other");
  plant("wrong_mask");
  write_png(mask("wrong_mask.png"), other.mask);
  want(Fault::duplicate_mask, "GT/wrong_mask.png", false);
  plant("x_same");
  write_png(image("x_same.png"), original.image);
  want(Fault::exact_duplicate, "Imgs/x_same.png", false);
  plant("x_small", 36, 48);
  write_png(image("x_small.png"), resize(other.image, 36, 48, Interpolation::area));
  want(Fault::near_duplicate, "Imgs/x_small.png", false);
}

void PlantedTest::plant_lists() {
  plant("listed_1");
  plant("listed_2");
  plant("listed_3");
  write_bytes(dir_ / "train.txt", "listed_1\nlisted_2\nlisted_1\n");
  write_bytes(dir_ / "test.txt", "listed_3.png\r\nlisted_2.png\r\nlisted_4.png\r\n");
  write_bytes(dir_ / "README.txt", "A set of images.\n\nCite it.\n");
  want(Fault::list_repeat, "train.txt", true);
  want(Fault::list_missing, "test.txt", true);
  want(Fault::list_overlap, "test.txt", true);
}

TEST_F(PlantedTest, EveryKindIsFoundAndNothingElse) {
  plant_names();
  plant_unreadable_files();
  plant_photographs();
  plant_kinds_of_masks();
  plant_values_of_masks();
  plant_copies();
  plant_lists();
  std::vector<Examination> sets{examine(dir_)};
  find_copies(sets);
  EXPECT_EQ(difference(rows_of(sets[0]), wanted_), "");
  EXPECT_EQ(rows_of(sets[0]).size(), wanted_.size());
  std::set<std::string> kinds;
  for (const Row& row : wanted_) kinds.insert(std::get<0>(row));
  EXPECT_EQ(kinds.size(), enum_names(Fault{}).size()) << "a kind has no planted example";
}

TEST_F(PlantedTest, CleanSetsHaveNoFindings) {
  for (int i = 0; i < 20; ++i) plant("pair " + std::to_string(i));
  write_synth(dir_ / "synth", {.count = 24, .size = 96, .held_out = 6});
  std::vector<Examination> sets{examine(dir_), examine(dir_ / "synth")};
  find_copies(sets);
  for (const Examination& set : sets) EXPECT_EQ(difference(rows_of(set), {}), "");
}

}  // namespace
}  // namespace codmoe::data
