#include "codmoe/engine/step_memory.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/core/memory_meter.h"
#include "codmoe/engine/train_step.h"

namespace codmoe::engine {

namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr int64_t kSmall = 2, kLarge = 4;  // images; one alone may leave a norm a single value a channel

void step_once(TrainStep& step, int64_t batch_size, int64_t size) {
  const auto bytes = at::device(at::kCPU).dtype(at::kByte);
  step.run({{.images = at::randint(256, {batch_size, 3, size, size}, bytes),
             .masks = at::randint(256, {batch_size, 1, size, size}, bytes),
             .names = {}}},
           StepValues());
}

}  // namespace

StepMemory measure_step_memory(const TrainOptions& options) {
  auto plain = options;
  plain.model.backbone.weights.clear();
  const core::MemoryMeter meter;
  model::Detector model(plain.model);
  model->train();
  TrainStep step(model, plain, c10::kCPU);
  step_once(step, kSmall, plain.data.loader.largest_side());
  const auto small = meter.peak();
  step_once(step, kLarge, plain.data.loader.largest_side());
  const auto per_image = (meter.peak() - small) / (kLarge - kSmall);
  return {.fixed = std::max<int64_t>(0, small - kSmall * per_image), .per_image = per_image};
}

int64_t fitting_batch_size(const StepMemory& memory, int64_t available) {
  const auto usable = static_cast<int64_t>(0.8 * static_cast<double>(available)) - memory.fixed;
  return std::max<int64_t>(0, usable / std::max<int64_t>(1, memory.per_image));
}

namespace {

double gib(int64_t bytes) { return static_cast<double>(bytes) / kGiB; }

std::string smaller_batch(int64_t batch, int64_t fits, int64_t accumulate) {
  if (fits < 1) return "not even one image fits: lower data.loader.size, or take a smaller backbone";
  const auto parts = (batch + fits - 1) / fits;
  return fmt::format("lower data.loader.batch_size to {}, or to {} with engine.accumulate={} for the same step", fits,
                     (batch + parts - 1) / parts, parts * accumulate);
}

/// "; data.cache=ram frees 4.0 GiB of training samples"; nothing for sizes that would be shown as 0.
std::string fewer_samples(const KeptSamples& kept) {
  std::string text;
  const auto add = [&](const char* setting, int64_t bytes, const char* what) {
    if (gib(bytes) >= 0.05) text += fmt::format("; {} frees {:.1f} GiB of {} samples", setting, gib(bytes), what);
  };
  add("data.cache=ram", kept.training, "training");
  add("engine.val_resolution=original", kept.validation, "validation");
  return text;
}

}  // namespace

std::string out_of_memory_message(const TrainOptions& options, const StepMemory& memory, const KeptSamples& kept,
                                  int64_t available) {
  const auto batch = options.data.loader.batch_size, size = options.data.loader.largest_side();
  // What was measured on the CPU may say that it fits: then it was too little by an unknown amount.
  const auto less = batch - std::max<int64_t>(1, batch / 8), estimate = fitting_batch_size(memory, available);
  auto line = fmt::format(
      "the GPU's memory does not hold a step: {:.1f} GiB for a batch of {} at {} pixels, "
      "of which {:.1f} GiB can be had; {}",
      gib(memory.of(batch)), batch, size, gib(available),
      smaller_batch(batch, std::min(estimate, less), options.engine.accumulate));
  const auto freeing = fewer_samples(kept);
  if (freeing.empty()) return line;
  line += freeing;
  const auto then = std::min(batch, fitting_batch_size(memory, available + kept.all()));
  if (estimate < less && then > estimate) line += fmt::format("; without them a batch of {} fits", then);
  return line;
}

}  // namespace codmoe::engine
