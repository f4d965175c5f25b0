// How much memory a training step takes, and what to lower where there isn't so much.
#pragma once

#include <string>

#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// Bytes that tensors take at the highest point of a training step.
struct StepMemory {
  int64_t fixed = 0;      ///< weights, gradients, optimizer, and what else doesn't grow with the batch
  int64_t per_image = 0;  ///< activations, mostly
  int64_t of(int64_t batch_size) const { return fixed + batch_size * per_image; }
};

/// Counts the bytes that two steps on the CPU allocate, on batches of 2 and of 4 random images; the difference is what
/// images take. A GPU's own kernels, workspaces and fragmentation differ: expect some 10 % to 30 %.
StepMemory measure_step_memory(const TrainOptions& options);

/// The largest batch that `available` bytes hold, with a fifth to spare; 0 where none fits.
int64_t fitting_batch_size(const StepMemory& memory, int64_t available);

/// Bytes of samples that stay on the device while steps run there.
struct KeptSamples {
  int64_t training = 0;    ///< data.cache
  int64_t validation = 0;  ///< engine.val_resolution: network
  int64_t all() const { return training + validation; }
};

/// One line for a step that ran out of the device's memory: what to lower, and by how much, and which samples could
/// make room. `available`: bytes that a step may take, beside those of `kept`.
std::string out_of_memory_message(const TrainOptions& options, const StepMemory& memory, const KeptSamples& kept,
                                  int64_t available);

}  // namespace codmoe::engine
