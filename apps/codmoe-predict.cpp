// codmoe-predict --checkpoint PATH INPUT…: masks of images.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <set>

#include "codmoe/core/device.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/predictor.h"
#include "common/cli.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

struct Arguments {
  apps::CommonOptions common;
  fs::path checkpoint;
  std::vector<fs::path> inputs;
  int64_t batch_size = 16;
  bool overlay = false;
};

/// The images named, folders opened. @throws core::UsageError where two would write the same mask.
std::vector<fs::path> input_files(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const auto& input : inputs) {
    if (!fs::is_directory(input)) {
      files.push_back(input);
      continue;
    }
    const auto listed = data::list_images(input);
    files.insert(files.end(), listed.begin(), listed.end());
  }
  std::set<fs::path> stems;
  for (const auto& file : files) {
    if (!stems.insert(file.stem()).second) {
      throw core::UsageError(fmt::format("{}: two inputs are named {}; their masks would be one file", file.string(),
                                         file.stem().string()));
    }
  }
  if (files.empty()) throw core::UsageError("INPUT: there is no image in it");
  return files;
}

/// The photograph, red where the map is.
at::Tensor overlay(const at::Tensor& image_hw3, const at::Tensor& map_hw) {
  const auto alpha = map_hw.to(at::kFloat).unsqueeze(2) * (0.6F / 255.0F);
  const auto red = at::tensor({255.0F, 0.0F, 0.0F});
  return (image_hw3.to(at::kFloat) * (1 - alpha) + red * alpha).round().to(at::kByte);
}

void run(const Arguments& args) {
  if (args.common.output.empty()) throw core::UsageError("--output: name the folder for the masks");
  const auto files = input_files(args.inputs);
  auto predictor = engine::load_predictor(engine::find_checkpoint(args.checkpoint, /*prefer_best=*/true),
                                          core::parse_device(args.common.device));
  fs::create_directories(args.common.output);
  core::ProgressLine line("predicting", static_cast<int64_t>(files.size()), "images");
  engine::predict_files(predictor, files, args.batch_size, [&](std::size_t first, const std::vector<at::Tensor>& maps) {
    for (std::size_t i = 0; i < maps.size(); ++i) {
      const auto& file = files[first + i];
      const auto stem = args.common.output / file.stem();
      data::write_png(stem.string() + ".png", maps[i]);
      if (args.overlay) data::write_png(stem.string() + ".overlay.png", overlay(data::read_image(file), maps[i]));
    }
    line.update(static_cast<int64_t>(first + maps.size()));
  });
  line.clear();
  spdlog::info("{} masks in {}", files.size(), args.common.output.string());
}

}  // namespace

int main(int argc, char** argv) {
  Arguments args;
  return apps::run(
      "codmoe-predict", "Writes 8-bit masks of images, at their own size.", argc, argv, args.common,
      [&](CLI::App& app) {
        args.common.add_device(app);
        args.common.add_output(app, "folder for the masks");
        app.add_option("--checkpoint", args.checkpoint, "run or step folder")->required();
        app.add_option("INPUT", args.inputs, "image files and folders")->required()->check(CLI::ExistingPath);
        app.add_option("--batch-size", args.batch_size, "images at a time")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
        app.add_flag("--overlay", args.overlay, "write NAME.overlay.png too: the photograph with the mask in red");
      },
      [&] { run(args); });
}
