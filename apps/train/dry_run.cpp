#include "train/dry_run.h"

#include <fmt/format.h>

#include "codmoe/engine/model_table.h"
#include "codmoe/engine/schedule.h"
#include "codmoe/engine/step_memory.h"

namespace codmoe::apps {

namespace {

void print_memory(const engine::TrainOptions& options) {
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  const auto memory = engine::measure_step_memory(options);
  const auto batch = options.data.loader.batch_size;
  fmt::print("memory of a step, batch {}: about {:.2f} GiB = {:.2f} + {} x {:.3f}\n", batch,
             static_cast<double>(memory.of(batch)) / gib, static_cast<double>(memory.fixed) / gib, batch,
             static_cast<double>(memory.per_image) / gib);
  fmt::print(
      "(bytes that steps on batches of 2 and 4 allocated on the CPU; a GPU's kernels and its allocator differ)\n");
}

void print_steps(const engine::TrainOptions& options) {
  if (options.data.train.dir.empty()) return fmt::print("no training set: data.train.dir is empty\n");
  const data::Dataset dataset(options.data.train);
  dataset.require_size(options.data.loader.largest_side());
  const auto batches = data::batch_count(dataset, options.data.loader);
  const auto steps = engine::steps_per_epoch(batches, options.engine.accumulate);
  fmt::print("{} images, {} steps an epoch, {} in {} epochs\n", dataset.size(), steps, steps * options.schedule.epochs,
             options.schedule.epochs);
}

}  // namespace

void dry_run(const engine::TrainOptions& options) {
  model::Detector model(options.model);
  const auto size = options.data.loader.size;
  fmt::print("{}", engine::model_table(engine::describe_parts(*model, size), size));
  print_memory(options);
  print_steps(options);
}

}  // namespace codmoe::apps
