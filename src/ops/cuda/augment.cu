#include "augment.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kThreads = 256;

/// What a thread works on: a target pixel of image blockIdx.y.
struct Target {
  int x, y;
  int64_t at;  ///< in [batch, size, size]
  bool inside;
};
__device__ Target target_of(const AugmentTask& task) {
  const int side = static_cast<int>(task.size),
            i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  return {i % side, i / side, static_cast<int64_t>(blockIdx.y) * side * side + i, i < side * side};
}

__device__ uint8_t to_byte(float value) {
  return static_cast<uint8_t>(__float2int_rn(fminf(fmaxf(value, 0.0F), 255.0F)));
}

/// ... 2 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
__device__ int mirrored(int i, int count) {
  const int period = 2 * count;
  i %= period;
  if (i < 0) i += period;
  return i < count ? i : period - 1 - i;
}

/// Four neighbours and their weights.
struct Neighbours {
  int at[4];
  float weight[4];
};
__device__ Neighbours neighbours_of(const float* map, int x, int y, int height, int width) {
  const float fx = static_cast<float>(x), fy = static_cast<float>(y);
  const float sx = map[0] * fx + map[1] * fy + map[2], sy = map[3] * fx + map[4] * fy + map[5];
  const float left = floorf(sx), top = floorf(sy), right = sx - left, below = sy - top;
  const int x0 = mirrored(static_cast<int>(left), width), x1 = mirrored(static_cast<int>(left) + 1, width);
  const int y0 = mirrored(static_cast<int>(top), height), y1 = mirrored(static_cast<int>(top) + 1, height);
  return {{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
          {(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right}};
}

__global__ void __launch_bounds__(kThreads) warp_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  if (!target.inside) return;
  const int64_t* place = task.places + 4 * blockIdx.y;
  const auto near = neighbours_of(task.changes + kChangeColumns * blockIdx.y, target.x, target.y,
                                  static_cast<int>(place[2]), static_cast<int>(place[3]));
  const uint8_t *image = task.pixels + place[0], *mask = task.pixels + place[1];
  float rgb[3] = {}, level = 0.0F;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int c = 0; c < 3; ++c) rgb[c] += near.weight[i] * static_cast<float>(image[3 * near.at[i] + c]);
    level += near.weight[i] * static_cast<float>(mask[near.at[i]]);
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) task.warped[3 * target.at + c] = to_byte(rgb[c]);
  task.masks[target.at] = to_byte(level);
}

/// Towards or away from a 3x3 smoothing (1 1 1; 1 5 1; 1 1 1) / 13, the border repeated; and the sums of the result.
__global__ void __launch_bounds__(kThreads) sharpen_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  const float factor = task.changes[kChangeColumns * blockIdx.y + 6];
  const int side = static_cast<int>(task.size);
  int values[3] = {};
  if (target.inside) {
    const uint8_t* image = task.warped + 3 * static_cast<int64_t>(blockIdx.y) * side * side;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const float own = static_cast<float>(task.warped[3 * target.at + c]);
      float sum = 4.0F * own;
      for (int dy = -1; dy <= 1; ++dy) {
        for (int dx = -1; dx <= 1; ++dx) {
          const int x = min(max(target.x + dx, 0), side - 1), y = min(max(target.y + dy, 0), side - 1);
          sum += static_cast<float>(image[3 * (y * side + x) + c]);
        }
      }
      const float smooth = static_cast<float>(to_byte(sum * (1.0F / 13.0F)));
      const uint8_t result =
          factor == 1.0F ? task.warped[3 * target.at + c] : to_byte(factor * own + (1.0F - factor) * smooth);
      task.sharpened[3 * target.at + c] = result;
      values[c] = result;
    }
  }
  // Whole numbers: the order of the sums doesn't matter.
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    const int total = __reduce_add_sync(0xffffffffU, values[c]);
    if (threadIdx.x % 32 == 0) {
      atomicAdd(reinterpret_cast<unsigned long long*>(task.sums + 3 * blockIdx.y + c),
                static_cast<unsigned long long>(total));
    }
  }
}

__device__ float luma(float red, float green, float blue) { return 0.299F * red + 0.587F * green + 0.114F * blue; }

__global__ void __launch_bounds__(kThreads) recolour_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  if (!target.inside) return;
  const float* change = task.changes + kChangeColumns * blockIdx.y;
  const int64_t* sums = task.sums + 3 * blockIdx.y;
  const int64_t area = task.size * task.size;
  const float count = static_cast<float>(area);
  const float mean = luma(static_cast<float>(sums[0]) / count, static_cast<float>(sums[1]) / count,
                          static_cast<float>(sums[2]) / count);
  const float saturation = change[7], contrast = change[8], brightness = change[9];
  const float gain = brightness * contrast, offset = brightness * (1.0F - contrast) * mean;
  float rgb[3];
#pragma unroll
  for (int c = 0; c < 3; ++c) rgb[c] = static_cast<float>(task.sharpened[3 * target.at + c]);
  const float grey = luma(rgb[0], rgb[1], rgb[2]);
  const int64_t pixel = static_cast<int64_t>(target.y) * task.size + target.x;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    const float value = grey + saturation * (rgb[c] - grey);
    task.images[(3 * static_cast<int64_t>(blockIdx.y) + c) * area + pixel] = to_byte(gain * value + offset);
  }
}

}  // namespace

cudaError_t augment(const AugmentTask& task, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((task.size * task.size + kThreads - 1) / kThreads),
                  static_cast<unsigned>(task.batch));
  warp_kernel<<<grid, kThreads, 0, stream>>>(task);
  sharpen_kernel<<<grid, kThreads, 0, stream>>>(task);
  recolour_kernel<<<grid, kThreads, 0, stream>>>(task);
  return cudaGetLastError();
}

}  // namespace codmoe::ops::cuda
