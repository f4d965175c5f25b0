// codmoe-train --config FILE [--resume auto|PATH] [--seeds 0,1,2] [--dry-run]: trains a detector.
#include <algorithm>

#include "codmoe/engine/options.h"
#include "train/dry_run.h"
#include "train/run.h"

namespace {

using namespace codmoe;

/// As --set takes it: a YAML value.
std::string quoted(const std::string& text) {
  std::string value = "'";
  for (const char c : text) value += c == '\'' ? std::string("''") : std::string(1, c);
  return value + "'";
}

void check_seeds(const std::vector<int64_t>& seeds) {
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    const bool again = std::find(seeds.begin(), seeds.begin() + static_cast<std::ptrdiff_t>(i), seeds[i]) !=
                       seeds.begin() + static_cast<std::ptrdiff_t>(i);
    if (seeds[i] < 0 || again) throw core::UsageError("--seeds: takes different numbers of at least 0, such as 0,1,2");
  }
}

void train(apps::TrainArguments& args) {
  engine::TrainOptions options;
  check_seeds(args.seeds);
  if (!args.init_from.empty()) args.common.overrides.push_back("init.checkpoint=" + quoted(args.init_from.string()));
  if (!apps::load_options(args.common, options)) return;
  if (args.dry_run) return apps::dry_run(options);
  if (args.common.output.empty()) throw core::UsageError("--output: name the run folder");
  apps::Session session(args.common, "go on from the last checkpoint with --resume auto",
                        options.engine.ranks.patience);
  session.run([&] {
    if (!args.seeds.empty()) return apps::train_seeds(options, args, session);
    apps::train_once(options, args.common.output, args, session);
  });
}

}  // namespace

int main(int argc, char** argv) {
  apps::TrainArguments args;
  return apps::run(
      "codmoe-train", "Trains a sparse mixture-of-experts detector of camouflaged objects.", argc, argv, args.common,
      [&](CLI::App& app) {
        args.common.add_config(app);
        args.common.add_device(app);
        auto* gpus = args.common.add_gpus(app);
        args.common.add_output(app, "run folder");
        app.add_option("--resume", args.resume,
                       "auto: go on from the run folder, or start where nothing is saved; or a run or step folder");
        app.add_option("--init-from", args.init_from,
                       "begin with the weights of a run or step folder, or of a safetensors file (init.checkpoint)");
        app.add_option("--seeds", args.seeds, "train with each, in OUTPUT/seed-N, and report mean and deviation")
            ->delimiter(',');
        app.add_flag("--dry-run", args.dry_run, "print the model's parts, memory and steps of an epoch, and stop")
            ->excludes(gpus);
      },
      [&] { train(args); });
}
