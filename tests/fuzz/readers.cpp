#include "fuzz/readers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <opencv2/imgcodecs.hpp>

#include "benchmarks/record.h"
#include "codmoe/config/yaml.h"
#include "codmoe/core/files.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/synth.h"
#include "codmoe/report/csv.h"
#include "data/file_facts.h"
#include "support/temporary_folder.h"

namespace codmoe::fuzz {

namespace {

namespace fs = std::filesystem;

std::string encoded(const char* suffix, const cv::Mat& image, const std::vector<int>& parameters = {}) {
  std::vector<uint8_t> bytes;
  cv::imencode(suffix, image, bytes, parameters);
  return {bytes.begin(), bytes.end()};
}

/// Grey, colour and alpha, 8 and 16 bits, in one format.
std::vector<std::string> pictures(const std::string& suffix) {
  std::vector<std::string> files;
  for (const int type : {CV_8UC1, CV_8UC3, CV_8UC4, CV_16UC3}) {
    if (type == CV_16UC3 && suffix != ".png") continue;
    cv::Mat image(21, 33, type);
    cv::randu(image, 0, 256);
    files.push_back(encoded(suffix.c_str(), image));
    files.push_back(encoded(suffix.c_str(), cv::Mat(21, 33, type, cv::Scalar::all(90))));
  }
  if (suffix == ".jpg") {
    const cv::Mat image(40, 24, CV_8UC3, cv::Scalar(10, 200, 90));
    files.push_back(encoded(".jpg", image, {cv::IMWRITE_JPEG_PROGRESSIVE, 1, cv::IMWRITE_JPEG_RST_INTERVAL, 1}));
    // Behind SOI: EXIF of one entry, orientation 6.
    const std::string exif(
        "\xFF\xE1\x00\x22"
        "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
        36);
    files.push_back(std::string(files.front()).insert(2, exif));
  }
  return files;
}

void read_picture(const fs::path& file) {
  data::facts_of(core::read_file(file));
  try {
    data::read_image(file);
  } catch (const core::Error&) {  // a mask may still be read
  }
  data::read_mask(file);
}

std::vector<std::string> safetensors() {
  const test::TemporaryFolder folder;
  core::save_safetensors(folder / "a", {{"conv.weight", at::ones({2, 3, 1, 1})}, {"n", at::ones({}, at::kLong)}},
                         {{"format", "pt"}});
  core::save_safetensors(folder / "b", {{"empty", at::zeros({0, 4})}, {"half", at::ones({5}, at::kHalf)}});
  return {core::read_file(folder / "a"), core::read_file(folder / "b")};
}

void read_yaml(const fs::path& file) {
  const auto options = config::load<data::SynthOptions>(file, {"seed=3"});
  config::to_yaml(config::read_yaml(file).values);
  config::dump(options);
}

const std::vector<std::string> yaml_seeds{
    "count: 12\nsize: 64\nseed: 7\nkinds: {texture: 0.5, tiny: 2e-1}\ncutouts: 'a b'\n",
    "# comment\nkinds:\n  many: 1\nfineness: !!float 2\nbackgrounds: \"\\u00e9\"\nx: &a [1, ~, true, *a]\n",
    "a: |\n  text\n  more\nb: >-\n  folded\nc: {d: [1, 2, {e: .inf}], ? f : -0x1F}\n---\nz: 1\n"};

std::vector<std::string> json_seeds() {
  return {bench::to_json(std::vector{bench::Record{.device = "CPU", .load = {0.25, 0.75}, .median_ms = 1.5}}).dump(2),
          R"([{"case": "layer", "n": [1e308, -0.0, null, true, "\ud83d\ude00"]}, {}, []])"};
}

const std::vector<std::string> csv_seeds{"run,dataset,name,IoU\na,b,c,0.5\n", "\"a\"\"b\",\"c\r\nd\"\r\n,,\r\n"};

}  // namespace

std::vector<FuzzedReader> fuzzed_readers() {
  std::vector<FuzzedReader> readers{
      {"png", pictures(".png"), read_picture},
      {"jpeg", pictures(".jpg"), read_picture},
      {"bmp", pictures(".bmp"), read_picture},
      {"webp", pictures(".webp"), read_picture},
      {"tiff", pictures(".tiff"), read_picture},
      {"safetensors", safetensors(), [](const fs::path& file) { core::load_safetensors(file); }},
      {"yaml", yaml_seeds, read_yaml},
      {"json", json_seeds(), [](const fs::path& file) { bench::read_records(file); }},
      {"csv", csv_seeds, [](const fs::path& file) { report::parse_csv(core::read_file(file), file.string()); }},
      {"list", {"a.jpg\r\n\xEF\xBB\xBF b\n\nc\n"}, [](const fs::path& file) { data::read_list(file); }}};
  std::ranges::move(run_file_readers(), std::back_inserter(readers));
  return readers;
}

}  // namespace codmoe::fuzz
