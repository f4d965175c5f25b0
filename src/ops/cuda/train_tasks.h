// The matrix products of training, as lists: convolutions forward, convolutions that carry gradients back, and weight
// gradients.
#pragma once

#include "training_memory.h"

namespace codmoe::ops::cuda {

constexpr int kMaxProducts = 40;  ///< of one list

/// One summand of a product: a convolution with packed weights [out, kernel * kernel, in].
struct Segment {
  int weight = 0;  ///< offset in elements
  int in = 0, kernel = 1, dilation = 1;
  int source = kInput, source_channel = 0;
  bool negates = false;  ///< the sum so far, this segment included
};

/// What happens to a tile's sums.
enum class Finish : int {
  store,       ///< plus the bias
  statistics,  ///< the same, and mean and spread of each column for its norm
  sums,        ///< the same, and the sum of each column
  gradient     ///< times the derivative of what follows kBranches (or the norm of map `before`), with its column sums
};

struct ProductTask {
  int expert = 0;
  int blocks = 0;  ///< a slot: row tiles * column tiles * parts
  int parts = 1;   ///< of the inner dimension of all segments, summed by the last block to finish
  int part_stages = 0;
  int out = 0, target = 0, target_channel = 0;
  Segment segments[kMaxBranches];
  int segment_count = 0;
  int bias = -1;  ///< offset in floats
  Finish finish = Finish::store;
  int area = 0;    ///< of the column sums
  int norm = -1;   ///< `gradient`: through this norm
  int before = 0;  ///< `gradient`: the map of values before norm or GELU
  bool gelu = false;
  bool gated = false;
};

struct ProductList {
  ProductTask tasks[kMaxProducts];
  int count = 0;
  int blocks = 0;        ///< for the dearest choices
  int split_blocks = 0;  ///< of those, at most so many belong to tasks of several parts; they come first
};

/// weight gradient[out, tap, in] = sum over slots and positions of gradient[position, out] * source[position + tap,
/// in].
struct WeightTask {
  int expert = 0;
  int parameter = 0;
  int in = 0, out = 0, kernel = 1, dilation = 1;
  int source = kInput, source_channel = 0;
  int gradient = 0, gradient_channel = 0;  ///< map, and its first channel
  int tiles = 0;
};

struct WeightList {
  WeightTask tasks[2 * kMaxProducts];
  int count = 0;
  int blocks = 0;
  int slots_a_part = 0;  ///< slots that one block sums
};

/// How a layer is trained: all lists, and where everything lies.
struct TrainPlan {
  int cols = 0;                                         ///< tile width in filters
  ProductList prepare, branches, fusion;                ///< forward
  ProductList fusion_back, branches_back, reduce_back;  ///< backward
  WeightList weights;
  TrainingMemory memory;
};

/// @returns false where a list would be too long.
bool make_train_plan(const Training& training, TrainPlan& plan);

}  // namespace codmoe::ops::cuda
