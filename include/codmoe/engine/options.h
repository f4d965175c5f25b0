// Everything a training run can be told.
#pragma once

#include <cstdint>

#include "codmoe/data/batch_source.h"
#include "codmoe/loss/structure_loss.h"
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
  automatic,  ///< the step is replayed from a CUDA graph where it can be captured
  off         ///< every kernel is queued anew at every step
};
constexpr auto enum_names(GraphUse) {
  return core::names<GraphUse>({{"auto", GraphUse::automatic}, {"off", GraphUse::off}});
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

struct OptimizerOptions {
  double lr = 1e-4;
  double weight_decay = 1e-4;  ///< of weights; norms and biases are not decayed
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double clip_norm = 1.0;  ///< gradients are scaled down to this norm; 0 switches it off

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("lr", lr, core::above(0.0));
    visit("weight_decay", weight_decay, core::at_least(0.0));
    visit("beta1", beta1, core::between(0.0, 0.9999999));
    visit("beta2", beta2, core::between(0.0, 0.9999999));
    visit("eps", eps, core::above(0.0));
    visit("clip_norm", clip_norm, core::at_least(0.0));
  }
};

struct ScheduleOptions {
  int64_t epochs = 100;
  double warmup_epochs = 1.0;  ///< linear from 0 to lr
  double final_lr = 0.01;      ///< cosine from lr to lr times this

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("epochs", epochs, core::at_least(1));
    visit("warmup_epochs", warmup_epochs, core::at_least(0.0));
    visit("final_lr", final_lr, core::between(0.0, 1.0));
  }
  void check() const;
};

struct EngineOptions {
  Precision precision = Precision::float32;
  bool channels_last = true;   ///< memory format of weights and activations
  bool deterministic = false;  ///< the same numbers on every run, at some cost on CUDA
  GraphUse graph = GraphUse::automatic;
  int64_t accumulate = 1;  ///< batches an optimizer step
  int64_t val_every = 1;   ///< epochs between validations; the last epoch always is
  int64_t save_every = 1;  ///< epochs between checkpoints; the last epoch always is
  int64_t keep_last = 2;   ///< newest checkpoints kept, `best` beside them
  int64_t log_every = 20;  ///< steps between lines of metrics.jsonl

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("precision", precision);
    visit("channels_last", channels_last);
    visit("deterministic", deterministic);
    visit("graph", graph);
    visit("accumulate", accumulate, core::at_least(1));
    visit("val_every", val_every, core::at_least(1));
    visit("save_every", save_every, core::at_least(1));
    visit("keep_last", keep_last, core::at_least(1));
    visit("log_every", log_every, core::at_least(1));
  }
};

struct TrainOptions {
  int64_t seed = 0;
  model::DetectorOptions model;  ///< its fields stand at the top level: backbone, moe, moe_strides, decoder
  loss::StructureLossOptions loss;
  DataOptions data;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  EngineOptions engine;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("seed", seed, core::at_least(0));
    model.fields(visit);
    visit("loss", loss);
    visit("data", data);
    visit("optimizer", optimizer);
    visit("schedule", schedule);
    visit("engine", engine);
  }
  void check() const { model.check(); }
};

}  // namespace codmoe::engine
