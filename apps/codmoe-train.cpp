// codmoe-train --config FILE [--resume auto|PATH]: trains a detector.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/device.h"
#include "codmoe/core/files.h"
#include "codmoe/engine/trainer.h"
#include "common/cli.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

struct Arguments {
  apps::CommonOptions common;
  std::string resume;
};

/// The step folder to go on from, or nothing. A run folder that is in use is not overwritten by accident.
fs::path resume_folder(const Arguments& args) {
  const bool has_checkpoint = fs::exists(args.common.output / "checkpoints" / "last" / "state.json");
  if (args.resume.empty() && has_checkpoint) {
    throw core::UsageError(
        fmt::format("--output: {} holds a run already; go on with --resume auto, or name another folder",
                    args.common.output.string()));
  }
  if (args.resume.empty() || (args.resume == "auto" && !has_checkpoint)) return {};
  return engine::find_checkpoint(args.resume == "auto" ? args.common.output : fs::path(args.resume),
                                 /*prefer_best=*/false);
}

void train(const Arguments& args) {
  engine::TrainOptions options;
  if (!apps::load_options(args.common, options)) return;
  if (args.common.output.empty()) throw core::UsageError("--output: name the run folder");
  const auto from = resume_folder(args);
  engine::Trainer trainer(options, args.common.output, core::parse_device(args.common.device));
  if (!from.empty()) trainer.resume(from);
  fs::create_directories(args.common.output);
  core::write_file_atomically(args.common.output / "config.yaml", config::dump(options));
  trainer.run();
  if (trainer.progress().best_step >= 0) {
    spdlog::info("done: best validation IoU {:.4f} at step {}", trainer.progress().best_iou,
                 trainer.progress().best_step);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Arguments args;
  return apps::run(
      "codmoe-train", "Trains a sparse mixture-of-experts detector of camouflaged objects.", argc, argv, args.common,
      [&](CLI::App& app) {
        args.common.add_config(app);
        args.common.add_device(app);
        args.common.add_output(app, "run folder");
        app.add_option("--resume", args.resume,
                       "auto: go on from the run folder, or start where nothing is saved; or a run or step folder");
      },
      [&] { train(args); });
}
