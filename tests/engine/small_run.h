// A training run of a second or two, for the engine's tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "codmoe/data/synth.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine::testing {

/// An empty folder of this test, removed when the program ends.
inline std::filesystem::path fresh_folder(const std::string& name) {
  struct Made {
    std::set<std::filesystem::path> folders;
    ~Made() {
      for (const auto& folder : folders) std::filesystem::remove_all(folder);
    }
  };
  static Made made;
  const auto folder =
      std::filesystem::path(::testing::TempDir()) / ("codmoe_engine_" + std::to_string(::getpid()) + "_" + name);
  made.folders.insert(folder);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

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
