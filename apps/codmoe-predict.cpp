// codmoe-predict --checkpoint PATH INPUT…: masks of images.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/progress.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/predictor.h"
#include "common/session.h"
#include "common/test_time.h"
#include "predict/inputs.h"
#include "predict/map_writer.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

struct Arguments {
  apps::CommonOptions common;
  fs::path checkpoint;
  std::vector<std::string> inputs;
  int64_t batch_size = 16;
  int64_t threads = 0;
  std::string format = "soft";
  apps::TestTimeArguments test_time;
  bool overlay = false;
};

engine::TestTimeOptions test_time(const Arguments& args) {
  engine::TestTimeOptions options;
  args.test_time.override_options(options);
  try {
    options.check();
  } catch (const core::BadOption& bad) {
    throw core::UsageError(fmt::format("--{} {}", bad.key(), bad.what()));
  }
  return options;
}

apps::MapWriterOptions writer_options(const Arguments& args) {
  return {.folder = args.common.output,
          .format = args.format == "mask" ? apps::MapFormat::mask : apps::MapFormat::soft,
          .overlay = args.overlay,
          .threads = args.threads};
}

/// A rank's part of the files, and where each stands among all.
struct Part {
  std::vector<fs::path> files;
  std::vector<std::size_t> numbers;
};

Part part_of(const std::vector<fs::path>& files, const engine::Ranks& ranks) {
  Part part;
  for (auto i = static_cast<std::size_t>(ranks.rank()); i < files.size();
       i += static_cast<std::size_t>(ranks.ranks())) {
    part.files.push_back(files[i]);
    part.numbers.push_back(i);
  }
  return part;
}

void predict(const Arguments& args, const std::vector<fs::path>& files, const apps::Session& session) {
  const auto& ranks = session.ranks();
  apps::MapWriter writer(writer_options(args), files);
  auto predictor = engine::load_predictor(engine::find_checkpoint(args.checkpoint, /*prefer_best=*/true),
                                          session.device(), test_time(args));
  const auto part = part_of(files, ranks);
  const auto total = std::ssize(part.files);
  core::ProgressLine line("predicting", total, "images");
  int64_t written = 0, broken = 0;
  const auto report_broken = [&](std::size_t, const std::exception& error) {
    ++broken;
    line.clear();
    spdlog::error("{}", error.what());
  };
  engine::predict_files(
      predictor, part.files,
      {.batch_size = args.batch_size, .threads = args.threads, .keep_images = args.overlay, .on_broken = report_broken},
      [&](std::vector<engine::FilePrediction> predictions) {
        written += std::ssize(predictions);
        for (auto& prediction : predictions) {
          prediction.file = part.numbers[prediction.file];
          writer.write(std::move(prediction));
        }
        line.update(written + broken);
      });
  writer.finish();
  line.clear();
  written = ranks.sum(written);
  broken = ranks.sum(broken);
  if (!ranks.leads()) return;
  spdlog::info("{} masks in {}", written, args.common.output.string());
  if (broken > 0) throw core::Error(fmt::format("{} of {} images could not be read", broken, files.size()));
}

void run(const Arguments& args) {
  if (args.common.output.empty()) throw core::UsageError("--output: name the folder for the masks");
  const auto files = apps::input_files(args.inputs);
  apps::Session session(args.common, "");
  session.run([&] { predict(args, files, session); });
}

}  // namespace

int main(int argc, char** argv) {
  Arguments args;
  return apps::run(
      "codmoe-predict", "Writes 8-bit masks of images, at their own size.", argc, argv, args.common,
      [&](CLI::App& app) {
        args.common.add_device(app);
        args.common.add_gpus(app);
        args.common.add_output(app, "folder for the masks");
        app.add_option("--checkpoint", args.checkpoint, "run or step folder")->required();
        app.add_option("INPUT", args.inputs, "image files, folders, and patterns such as 'photos/*.jpg'")->required();
        app.add_option("--batch-size", args.batch_size, "images at a time")
            ->check(CLI::PositiveNumber)
            ->capture_default_str();
        app.add_option("--threads", args.threads, "that decode, and as many that write; 0: one a core")
            ->check(CLI::Range(0, 1024))
            ->capture_default_str();
        app.add_option("--format", args.format, "soft: the probability; mask: 255 where it is one half or more, else 0")
            ->check(CLI::IsMember({"soft", "mask"}))
            ->capture_default_str();
        args.test_time.declare(app);
        app.add_flag("--overlay", args.overlay, "write NAME.overlay.png too: the photograph with the mask in red");
      },
      [&] { run(args); });
}
