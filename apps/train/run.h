// Training runs as the command line asks for them.
#pragma once

#include <vector>

#include "codmoe/engine/options.h"
#include "codmoe/engine/seed_scores.h"
#include "common/session.h"

namespace codmoe::apps {

struct TrainArguments {
  CommonOptions common;
  std::string resume;
  std::filesystem::path init_from;
  std::vector<int64_t> seeds;
  bool dry_run = false;
};

/// Trains in one run folder. @throws core::UsageError where it holds a run already that `resume` doesn't go on from.
void train_once(const engine::TrainOptions& options, const std::filesystem::path& folder, const TrainArguments& args,
                const Session& session);

/// Trains with each of args.seeds in a folder of its own, then writes seeds.json and prints the scores.
void train_seeds(const engine::TrainOptions& options, const TrainArguments& args, const Session& session);

}  // namespace codmoe::apps
