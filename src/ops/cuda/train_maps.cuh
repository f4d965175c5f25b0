// The steps of training between the products: norms with their activations, the mixture, and the same backward. A block
// takes some positions of one slot (or image); a thread keeps its chunk of channels and goes through the positions.
#pragma once

#include "train_access.cuh"

namespace codmoe::ops::cuda {

/// The positions and channels of one thread.
template <class T>
struct Walk {
  int channel, row, rows, first, last;
  bool active;

  /// Of part `index` of the image, `size` positions each.
  __device__ Walk(const Shape& shape, int index, int size) {
    const int chunks = shape.channels / kLanes<T>, thread = static_cast<int>(threadIdx.x);
    rows = kThreads / chunks;
    row = thread / chunks;
    channel = thread % chunks * kLanes<T>;
    first = index * size + row;
    last = min((index + 1) * size, shape.positions);
    active = row < rows;
  }

  /// Calls visit(offset) for each position, with the place of its chunk in a map.
  template <class Visit>
  __device__ void positions(int channels, Visit&& visit) const {
    if (!active) return;
#pragma unroll 4
    for (int p = first; p < last; p += rows) visit(p * channels + channel);
  }
};

/// scale * value + shift is the norm of a thread's channels.
template <class T>
struct ChunkNorm {
  float scale[kLanes<T>], shift[kLanes<T>];

  __device__ ChunkNorm(const Training& training, const TrainingMemory& memory, int expert, int norm, int channel) {
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const ChannelNorm of = channel_norm(training, memory, expert, norm, channel + i);
      scale[i] = of.gamma * of.rstd;
      shift[i] = of.beta - of.mean * scale[i];
    }
  }
  __device__ float apply(int i, float value) const { return scale[i] * value + shift[i]; }
};

/// Hybrid: map 1 = norm of map 2.
template <class T>
__device__ void norm_own(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int index) {
  const Walk<T> walk(training.shape, index, walk_rows(training.shape));
  const ChunkNorm<T> norm(training, memory, slot.expert, 0, walk.channel);
  const T* from = slot.map(kOwn + 1);
  T* to = slot.map(kOwn);
  walk.positions(training.shape.channels, [&](int at) {
    float values[kLanes<T>];
    load_chunk(from + at, values);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) values[i] = norm.apply(i, values[i]);
    store_chunk(to + at, values);
  });
}

/// What the fusion reads: GELU of the branches' norm, or GELU times gate.
template <class T>
__device__ void activate(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int index) {
  const Walk<T> walk(training.shape, index, walk_rows(training.shape));
  const bool gated = training.experts[slot.expert].hidden > 0, own = is_depthwise(training, slot.expert);
  ChunkNorm<T> norm(training, memory, slot.expert, 0, walk.channel);
  float gate[kLanes<T>];
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) {
    if (own) {  // its norm came before
      norm.scale[i] = 1.0F;
      norm.shift[i] = 0.0F;
    }
    gate[i] = gated ? slot_row(training, memory.saved, memory.answers, slot.index)[walk.channel + i] : 1.0F;
  }
  const T* from = slot.map(kBranches);
  T* to = slot.map(kFused);
  walk.positions(training.shape.channels, [&](int at) {
    float values[kLanes<T>];
    load_chunk(from + at, values);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) values[i] = gelu(norm.apply(i, values[i])) * gate[i];
    store_chunk(to + at, values);
  });
}

/// What the mixture needs of one slot.
template <class T>
struct Mixed {
  float scale[kMaxChannels], shift[kMaxChannels];  ///< attention: the result itself in `shift`
  const T* fusion;                                 ///< null: attention
  float weight;
  bool gelu;

  /// Called by the whole block; a barrier must follow.
  __device__ void load(const Training& training, const TrainingMemory& memory, const Slot<T>& slot) {
    const TrainExpert& expert = training.experts[slot.expert];
    const bool attention = expert.heads > 0;
    const float* constant = slot_row(training, memory.saved, memory.projected, slot.index);
    for (int c = static_cast<int>(threadIdx.x); c < training.shape.channels; c += kThreads) {
      const ChannelNorm norm = channel_norm(training, memory, slot.expert, 1, c);
      scale[c] = norm.gamma * norm.rstd;
      shift[c] = attention ? constant[c] : norm.beta - norm.mean * norm.gamma * norm.rstd;
    }
    if (threadIdx.x > 0) return;
    fusion = attention ? nullptr : slot.map(kFusion);
    weight = slot.weight;
    gelu = expert.fusion.norm >= 0 && !attention;
  }

  /// Adds its part to one chunk of y.
  __device__ void add(int at, int channel, float (&total)[kLanes<T>]) const {
    float values[kLanes<T>] = {};
    if (fusion != nullptr) load_chunk(fusion + at, values);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const float result = scale[channel + i] * values[i] + shift[channel + i];
      total[i] += weight * (gelu ? cuda::gelu(result) : result);
    }
  }
};

constexpr int kMixRows = 32;  ///< positions of one block of the mixture

/// y = sum over k of weight * (f_k + x). `mixed` is shared memory for top_k slots.
template <class T>
__device__ void mix(const Training& training, const TrainingMemory& memory, int image, int index, Mixed<T>* mixed) {
  const Shape& shape = training.shape;
  float weight_sum = 0.0F;
  for (int k = 0; k < shape.top_k; ++k) {
    const Slot<T> slot(training, memory, image * shape.top_k + k);
    weight_sum += slot.weight;
    mixed[k].load(training, memory, slot);
  }
  __syncthreads();
  const Walk<T> walk(shape, index, kMixRows);
  const int64_t image_at = static_cast<int64_t>(image) * shape.positions * shape.channels;
  const T* x = static_cast<const T*>(training.x) + image_at;
  T* y = static_cast<T*>(training.y) + image_at;
  walk.positions(shape.channels, [&](int at) {
    float total[kLanes<T>];
    load_chunk(x + at, total);
#pragma unroll
    for (float& value : total) value *= weight_sum;
    for (int k = 0; k < shape.top_k; ++k) mixed[k].add(at, walk.channel, total);
    store_chunk(y + at, total);
  });
}

/// Sums two values a lane over a block's rows: pairs[c]. `shared` holds 2 * kThreads * kLanes floats.
template <class T>
__device__ void sum_columns(const Walk<T>& walk, int channels, const float (&first)[kLanes<T>],
                            const float (&second)[kLanes<T>], float2* pairs, float* shared) {
  if (walk.active) {
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      shared[walk.row * channels + walk.channel + i] = first[i];
      shared[(walk.rows + walk.row) * channels + walk.channel + i] = second[i];
    }
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) {
    float2 total{0.0F, 0.0F};
    for (int r = 0; r < walk.rows; ++r) {
      total.x += shared[r * channels + c];
      total.y += shared[(walk.rows + r) * channels + c];
    }
    pairs[c] = total;
  }
}

/// Mean of each channel of a map over one row tile, and the squares around it.
template <class T>
__device__ void measure(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int tile,
                        float* shared) {
  const Walk<T> walk(training.shape, tile, kTileRows);
  const T* map = slot.map(kOwn + 1);
  const int channels = training.shape.channels, first_position = tile * kTileRows;
  float origin[kLanes<T>], first[kLanes<T>] = {}, second[kLanes<T>] = {};
  load_chunk(map + first_position * channels + walk.channel, origin);
  walk.positions(channels, [&](int at) {
    float values[kLanes<T>];
    load_chunk(map + at, values);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const float value = values[i] - origin[i];
      first[i] += value;
      second[i] += value * value;
    }
  });
  float2* pairs = column_sums(training, memory, slot.index, tile, 0);
  sum_columns(walk, channels, first, second, pairs, shared);
  const auto count = static_cast<float>(walk.last - first_position);
  for (int c = static_cast<int>(threadIdx.x); c < channels;
       c += kThreads) {  // the channels that this thread has summed
    const float mean = pairs[c].x / count;
    pairs[c] = {to_float(map[first_position * channels + c]) + mean, fmaxf(pairs[c].y - pairs[c].x * mean, 0.0F)};
  }
}

/// Column sums of the gradient before the fusion's norm, and this tile's part of the mixing weight's gradient.
template <class T>
__device__ void receive(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int index,
                        float* shared) {
  const Walk<T> walk(training.shape, index, walk_rows(training.shape));
  const TrainExpert& expert = training.experts[slot.expert];
  const bool attention = expert.heads > 0, normed = expert.fusion.norm >= 0 && !attention;
  ChunkNorm<T> norm(training, memory, slot.expert, 1, walk.channel);
  const T* fusion = slot.map(kFusion);
  const T* upstream = static_cast<const T*>(training.y_gradient) + static_cast<int64_t>(slot.image) * slot.map_size;
  const float* constant = slot_row(training, memory.saved, memory.projected, slot.index);
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) {
    if (attention) norm.shift[i] = constant[walk.channel + i];
  }
  float first[kLanes<T>] = {}, second[kLanes<T>] = {}, mixing = 0.0F;
  walk.positions(training.shape.channels, [&](int at) {
    float gradient[kLanes<T>], x[kLanes<T>], z[kLanes<T>] = {};
    load_chunk(upstream + at, gradient);
    load_chunk(slot.x + at, x);
    if (!attention) load_chunk(fusion + at, z);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const float input = norm.apply(i, z[i]);
      mixing += gradient[i] * ((normed ? gelu(input) : input) + x[i]);
      const float value = slot.weight * gradient[i] * (normed ? gelu_gradient(input) : 1.0F);
      first[i] += value;
      second[i] += value * z[i];
    }
  });
  float2* pairs = received_sums(training, memory, slot.index, index);
  sum_columns(walk, training.shape.channels, first, second, pairs, shared);
  for (int c = static_cast<int>(threadIdx.x); c < training.shape.channels; c += kThreads) {  // summed by this thread
    const ChannelNorm channel = channel_norm(training, memory, slot.expert, 1, c);
    pairs[c].y = channel.rstd * (pairs[c].y - channel.mean * pairs[c].x);
  }
  __syncthreads();
  mixing = sum_over_warp(mixing);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = mixing;
  __syncthreads();
  if (threadIdx.x > 0) return;
  float total = 0.0F;
  for (int warp = 0; warp < kThreads / 32; ++warp) total += shared[warp];
  floats_at(memory.work, memory.mixing)[slot.index * walks(training.shape) + index] = total;
}

/// gradient * scale + z * slope + shift is the gradient before a norm, from the one after it and the value z before it.
template <class T>
struct ThroughNorm {
  float scale[kLanes<T>], slope[kLanes<T>], shift[kLanes<T>];

  __device__ ThroughNorm(const Training& training, const TrainingMemory& memory, int expert, int norm, int channel) {
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const ChannelNorm of = channel_norm(training, memory, expert, norm, channel + i);
      const float2 means = means_of(training, memory, expert, norm)[channel + i];
      scale[i] = of.gamma * of.rstd;
      slope[i] = -scale[i] * of.rstd * means.y;
      shift[i] = -scale[i] * means.x - slope[i] * of.mean;
    }
  }
  __device__ float apply(int i, float gradient, float z) const { return scale[i] * gradient + slope[i] * z + shift[i]; }
};

/// Gradient of the fusion's result before its norm.
template <class T>
__device__ void enter_fusion(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int index) {
  const Walk<T> walk(training.shape, index, walk_rows(training.shape));
  const bool normed = training.experts[slot.expert].fusion.norm >= 0;
  const ChunkNorm<T> norm(training, memory, slot.expert, 1, walk.channel);
  const ThroughNorm<T> through(training, memory, slot.expert, 1, walk.channel);
  const T* fusion = slot.map(kFusion);
  const T* upstream = static_cast<const T*>(training.y_gradient) + static_cast<int64_t>(slot.image) * slot.map_size;
  T* to = slot.map(kFusionGradient);
  walk.positions(training.shape.channels, [&](int at) {
    float gradient[kLanes<T>], z[kLanes<T>];
    load_chunk(upstream + at, gradient);
    load_chunk(fusion + at, z);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      gradient[i] *= slot.weight;
      if (normed) gradient[i] = through.apply(i, gradient[i] * gelu_gradient(norm.apply(i, z[i])), z[i]);
    }
    store_chunk(to + at, gradient);
  });
}

/// Gradient after the first norm becomes that before it, in place.
template <class T>
__device__ void leave_norm(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int index,
                           int gradient_map, int before_map) {
  const Walk<T> walk(training.shape, index, walk_rows(training.shape));
  const ThroughNorm<T> through(training, memory, slot.expert, 0, walk.channel);
  const T* before = slot.map(before_map);
  T* gradients = slot.map(gradient_map);
  walk.positions(training.shape.channels, [&](int at) {
    float gradient[kLanes<T>], z[kLanes<T>];
    load_chunk(gradients + at, gradient);
    load_chunk(before + at, z);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) gradient[i] = through.apply(i, gradient[i], z[i]);
    store_chunk(gradients + at, gradient);
  });
}

}  // namespace codmoe::ops::cuda
