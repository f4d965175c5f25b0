// What the blocks of one kernel do: a list of tasks, those in several parts first, then the dearest, the same for all
// routes. A block finds its own piece of work from its index and the number of slots that chose each expert.
#pragma once

#include "fused_moe.h"

namespace codmoe::ops::cuda {

enum class TaskKind { convolution, stencil, attention, values, gate };

struct Task {
  TaskKind kind = TaskKind::convolution;
  int expert = 0;
  int conv = 0;          ///< of the expert
  int first_filter = 0;  ///< of the convolution
  int parts = 1;         ///< of the inner dimension, summed by the last block to finish
  int part_stages = 0;   ///< stages a part
  int blocks = 0;        ///< a slot
};

struct Schedule {
  Task tasks[kMaxTasks];
  int count = 0;         ///< -1: more than kMaxTasks
  int blocks = 0;        ///< of the whole kernel, for the dearest choices
  int split_blocks = 0;  ///< of those, at most so many belong to tasks of several parts
};

/// Stages that one block sums at most: small batches leave multiprocessors idle unless long sums are cut.
int longest_part(int batch);

/// Tile width in filters for branches of this width.
int tile_cols(int width);

/// The convolutions that read x, and what the others need.
Schedule prepare_schedule(const Layer& layer, int cols);
/// The convolutions that read what the first schedule made.
Schedule branch_schedule(const Layer& layer, int cols);

}  // namespace codmoe::ops::cuda
