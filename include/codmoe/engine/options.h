// Everything a training run can be told.
#pragma once

#include <cstdint>

#include "codmoe/data/batch_source.h"
#include "codmoe/engine/optimizer_options.h"
#include "codmoe/engine/schedule_options.h"
#include "codmoe/loss/detection_loss.h"
#include "codmoe/model/detector.h"

namespace codmoe::engine {

enum class Precision {
  float32,  ///< IEEE float32 everywhere
  tf32,     ///< float32 tensors, TensorFloat-32 products on CUDA
  bfloat16  ///< autocast: convolutions and products in bfloat16, weights in float32
};
constexpr auto enum_names(Precision) {
  return core::names<Precision>(
      {{"float32", Precision::float32}, {"tf32", Precision::tf32}, {"bfloat16", Precision::bfloat16}});
}

enum class GraphUse {
  automatic,  ///< steps, and batches of a validation on the device, are replayed from CUDA graphs where they can be
  off         ///< every kernel is queued anew each time
};
constexpr auto enum_names(GraphUse) {
  return core::names<GraphUse>({{"auto", GraphUse::automatic}, {"off", GraphUse::off}});
}

enum class ValResolution {
  original,  ///< maps and masks at the photographs' own size, files decoded each time: what codmoe-eval reports
  network    ///< at the network's input size, on the device, where the set is kept
};
constexpr auto enum_names(ValResolution) {
  return core::names<ValResolution>({{"original", ValResolution::original}, {"network", ValResolution::network}});
}

struct DataOptions {
  data::DatasetOptions train;
  data::DatasetOptions val;  ///< `dir` empty: no validation
  data::LoaderOptions loader;
  data::AugmentOptions augment;
  data::Cache cache = data::Cache::automatic;    ///< of the training set
  data::OnError on_error = data::OnError::fail;  ///< of the training set; validation always fails

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("train", train);
    visit("val", val);
    visit("loader", loader);
    visit("augment", augment);
    visit("cache", cache);
    visit("on_error", on_error);
  }
};

/// A moving average of the weights, evaluated and saved beside them.
struct EmaOptions {
  double decay = 0.0;   ///< part of the average that stays at each step; 0: there is none
  bool warmup = false;  ///< the decay grows with the steps until it is reached; see ema_decay()

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("decay", decay, core::between(0.0, 0.9999999));
    visit("warmup", warmup);
  }
};

/// What several ranks do together; a rank alone ignores it. data.loader.batch_size is that of all ranks together.
struct RanksOptions {
  bool sync_norm = false;        ///< batch norms take mean and variance of the whole batch, not of a rank's part
  bool shard_optimizer = false;  ///< each rank keeps the optimizer's averages of its own share of the weights alone
  bool spread_experts = false;   ///< each rank holds a part of every MoE layer's experts and runs them for all ranks
  double patience = 25.0;        ///< seconds: the run ends where a rank stands still so long while others wait for it,
                                 ///< or all twice as long; more than a step takes

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("sync_norm", sync_norm);
    visit("shard_optimizer", shard_optimizer);
    visit("spread_experts", spread_experts);
    visit("patience", patience, core::above(0.0));
  }
};

struct EngineOptions {
  Precision precision = Precision::float32;
  bool channels_last = true;   ///< memory format of weights and activations
  bool deterministic = false;  ///< the same numbers on every run, at some cost on CUDA
  GraphUse graph = GraphUse::automatic;
  int64_t accumulate = 1;  ///< batches an optimizer step
  int64_t val_every = 1;   ///< epochs between validations; the last epoch always is
  ValResolution val_resolution = ValResolution::original;
  int64_t save_every = 1;    ///< epochs between checkpoints; the last epoch always is
  int64_t keep_last = 2;     ///< newest checkpoints kept, `best` beside them
  std::string best = "IoU";  ///< score of the validation that the `best` checkpoint is chosen by
  int64_t patience = 0;      ///< validations without a better one after which the run ends; 0: it goes on to the end
  int64_t log_every = 20;    ///< steps between lines of metrics.jsonl
  int64_t log_images = 4;    ///< validation samples whose predictions TensorBoard shows
  int64_t max_skips = 20;    ///< steps left out in a row, for a loss or gradient that is not finite, that end the run
  EmaOptions ema = {};
  RanksOptions ranks = {};

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("precision", precision);
    visit("channels_last", channels_last);
    visit("deterministic", deterministic);
    visit("graph", graph);
    visit("accumulate", accumulate, core::at_least(1));
    visit("val_every", val_every, core::at_least(1));
    visit("val_resolution", val_resolution);
    visit("save_every", save_every, core::at_least(1));
    visit("keep_last", keep_last, core::at_least(1));
    visit("best", best);
    visit("patience", patience, core::at_least(0));
    visit("log_every", log_every, core::at_least(1));
    visit("log_images", log_images, core::between(0, 64));
    visit("max_skips", max_skips, core::at_least(1));
    visit("ema", ema);
    visit("ranks", ranks);
  }
  /// @throws core::BadOption for a `best` that validations of this resolution don't compute.
  void check() const;
};

/// Weights that a run begins with, in place of random ones.
struct InitOptions {
  std::filesystem::path checkpoint;  ///< run or step folder, or a safetensors file of a detector; empty: none
  bool partial = false;              ///< tensors that are missing or mis-shaped stay as they were, others are left out

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("checkpoint", checkpoint);
    visit("partial", partial);
  }
};

struct TrainOptions {
  int64_t seed = 0;
  InitOptions init;
  model::DetectorOptions model;  ///< its fields stand at the top level: backbone, moe, moe_strides, decoder
  loss::DetectionLossOptions loss;
  DataOptions data;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  EngineOptions engine;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("seed", seed, core::at_least(0));
    visit("init", init);
    model.fields(visit);
    visit("loss", loss);
    visit("data", data);
    visit("optimizer", optimizer);
    visit("schedule", schedule);
    visit("engine", engine);
  }
  void check() const;
};

}  // namespace codmoe::engine
