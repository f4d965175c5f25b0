#include "train/run.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/device.h"
#include "codmoe/core/files.h"
#include "codmoe/engine/trainer.h"

namespace codmoe::apps {

namespace {

namespace fs = std::filesystem;

bool lies_in(const fs::path& inner, const fs::path& outer) {
  const auto relative = fs::weakly_canonical(inner).lexically_relative(fs::weakly_canonical(outer));
  return !relative.empty() && *relative.begin() != "..";
}

/// The step folder to go on from, or nothing. A run folder that is in use is not overwritten by accident.
fs::path resume_folder(const fs::path& folder, const std::string& resume) {
  const bool used = engine::has_checkpoint(folder);
  const auto from = resume == "auto" ? folder : fs::path(resume);
  if (used && (resume.empty() || !lies_in(from, folder))) {
    throw core::UsageError(fmt::format(
        "--output: {} holds a run already; go on with --resume auto, or name another folder", folder.string()));
  }
  if (resume.empty() || (resume == "auto" && !used)) return {};
  const auto step = engine::find_checkpoint(from, /*prefer_best=*/false);
  const auto last = used ? engine::find_checkpoint(folder, /*prefer_best=*/false) : step;
  if (lies_in(from, folder) && step != last) {  // what came after it would be written anew
    throw core::UsageError(fmt::format("--resume: {} is not the run's last, {}; name another --output to go on from it",
                                       step.string(), last.string()));
  }
  return step;
}

std::filesystem::path seed_folder(const TrainArguments& args, int64_t seed) {
  return args.common.output / fmt::format("seed-{}", seed);
}

}  // namespace

void train_once(const engine::TrainOptions& options, const fs::path& folder, const TrainArguments& args,
                const Session& session) {
  const auto& ranks = session.ranks();
  // Asked of one, since it begins to write there while others may still look.
  const auto from = ranks.share(ranks.leads() ? resume_folder(folder, args.resume).string() : "").get<std::string>();
  engine::Trainer trainer(options, folder, session.device(), from, ranks);
  if (ranks.leads()) core::write_file_atomically(folder / "config.yaml", config::dump(options));
  trainer.run();
  const auto& progress = trainer.progress();
  if (progress.best_step < 0) {
    spdlog::info("done: {} steps; the weights are in {}", progress.step, (folder / "checkpoints/last").string());
    return;
  }
  spdlog::info("done: best validation {} {:.4f} at step {}", progress.best_metric, progress.best_score,
               progress.best_step);
}

void train_seeds(const engine::TrainOptions& options, const TrainArguments& args, const Session& session) {
  if (options.data.val.dir.empty()) throw core::UsageError("--seeds: needs a validation set: data.val.dir is empty");
  if (!args.resume.empty() && args.resume != "auto") throw core::UsageError("--seeds: goes with --resume auto alone");
  session.ranks().let_leader([&] {  // refused before hours of work
    for (const auto seed : args.seeds) resume_folder(seed_folder(args, seed), args.resume);
  });
  std::vector<engine::SeedScores> runs;
  for (const auto seed : args.seeds) {
    auto own = options;
    own.seed = seed;
    const auto folder = seed_folder(args, seed);
    spdlog::info("seed {}: {}", seed, folder.string());
    train_once(own, folder, args, session);
    core::release_memory(session.device());  // for the next: graphs of the one that is over had their own
    if (!session.ranks().leads()) continue;
    const auto best = engine::read_state(engine::find_checkpoint(folder, /*prefer_best=*/true)).progress.best_step;
    runs.push_back({.seed = seed, .step = best, .scores = engine::validation_scores(folder, best)});
  }
  if (!session.ranks().leads()) return;
  core::write_file_atomically(args.common.output / "seeds.json", engine::seeds_json(runs).dump(2) + "\n");
  fmt::print("validation of each seed's best checkpoint by {}\n{}", engine::best_metric(options.engine),
             engine::seeds_table(runs));
}

}  // namespace codmoe::apps
