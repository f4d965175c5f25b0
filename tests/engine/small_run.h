// A training run of a second or two, for the engine's tests.
#pragma once

#include <filesystem>

#include "codmoe/data/synth.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine::testing {

/// Eight synthetic images of 64 pixels.
inline std::filesystem::path small_dataset(const std::filesystem::path& parent) {
  data::write_synth(parent / "data", {.count = 8, .size = 64, .seed = 3});
  return parent / "data";
}

/// Random numbers enter everywhere: augmentation, order, router noise.
inline TrainOptions small_options(const std::filesystem::path& dataset) {
  TrainOptions options;
  options.model.backbone = {.name = "tiny", .weights = {}};
  options.model.moe.router.noise = 0.5;
  options.model.decoder.width = 8;
  options.data.train.dir = dataset;
  options.data.loader = {.batch_size = 1, .size = 64, .threads = 2, .prefetch = 2};
  options.optimizer.lr = 1e-3;
  options.schedule.epochs = 3;
  options.engine.accumulate = 2;
  options.engine.log_every = 1;
  return options;
}

}  // namespace codmoe::engine::testing
