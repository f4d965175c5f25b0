#include "augment.h"

#include "codmoe/ops/augment_pixel.h"

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

/// A place in a photograph and its mask, before rounding.
struct Look {
  float rgb[3];
  float level;
};

/// Adds what lies at (x, y), between four pixels. Beyond the border a photograph is mirrored, its mask too or nothing.
template <bool kMirrorMask>
__device__ void add_place(const uint8_t* pixels, const AugmentSource& source, float x, float y, Look& sum) {
  const float left = floorf(x), top = floorf(y);
  const int x0 = static_cast<int>(left), y0 = static_cast<int>(top);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int column = x0 + i % 2, row = y0 + i / 2;
    const float across = i % 2 == 0 ? 1 - (x - left) : x - left, down = i / 2 == 0 ? 1 - (y - top) : y - top;
    const float weight = down * across;
    const int at = mirrored(row, source.height) * source.width + mirrored(column, source.width);
#pragma unroll
    for (int c = 0; c < 3; ++c) sum.rgb[c] += weight * static_cast<float>(pixels[source.image + 3 * at + c]);
    const bool inside = column >= 0 && row >= 0 && column < source.width && row < source.height;
    if (kMirrorMask || inside) sum.level += weight * static_cast<float>(pixels[source.mask + at]);
  }
}

/// What a target pixel shows, rounded.
struct Shown {
  uint8_t rgb[3];
  uint8_t level;
};
template <bool kMirrorMask>
__device__ Shown look(const uint8_t* pixels, const AugmentSource& source, const AugmentMap& map, const Target& target) {
  const float step = 1.0F / static_cast<float>(map.taps);
  Look sum{};
  for (int i = 0; i < map.taps; ++i) {
    const float y = static_cast<float>(target.y) + ((static_cast<float>(i) + 0.5F) * step - 0.5F);
    for (int j = 0; j < map.taps; ++j) {
      const float x = static_cast<float>(target.x) + ((static_cast<float>(j) + 0.5F) * step - 0.5F);
      add_place<kMirrorMask>(pixels, source, map.xx * x + map.xy * y + map.x0, map.yx * x + map.yy * y + map.y0, sum);
    }
  }
  const float scale = step * step;
  return {{to_byte(scale * sum.rgb[0]), to_byte(scale * sum.rgb[1]), to_byte(scale * sum.rgb[2])},
          to_byte(scale * sum.level)};
}

__global__ void __launch_bounds__(kThreads) warp_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  if (!target.inside) return;
  const AugmentRow& row = task.rows[blockIdx.y];
  Shown shown = look<true>(task.pixels, row.source, row.map, target);
  if (row.donor.height > 0) {
    const Shown over = look<false>(task.pixels, row.donor, row.donor_map, target);
#pragma unroll
    for (int c = 0; c < 3; ++c) shown.rgb[c] = covered(shown.rgb[c], over.rgb[c], over.level);
    shown.level = max(shown.level, over.level);
  }
#pragma unroll
  for (int c = 0; c < 3; ++c) task.warped[3 * target.at + c] = shown.rgb[c];
  const auto pixel = static_cast<uint32_t>(target.y * static_cast<int>(task.size) + target.x);
  task.masks[target.at] = finished_mask(shown.level, row.binary_mask, row.salt_pepper, row.seed, pixel);
}

/// Towards or away from a 3x3 smoothing (1 1 1; 1 5 1; 1 1 1) / 13, the border repeated; and the sums of the result.
__global__ void __launch_bounds__(kThreads) sharpen_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  const float factor = task.rows[blockIdx.y].sharpness;
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

/// Saturation, contrast and brightness of one image.
struct Colours {
  float saturation, gain, offset;

  __device__ uint8_t changed(const float* rgb, int channel) const {
    const float grey = luma(rgb[0], rgb[1], rgb[2]);
    return to_byte(gain * (grey + saturation * (rgb[channel] - grey)) + offset);
  }
};
__device__ Colours colours_of(const AugmentRow& row, const float* mean) {
  const float grey = luma(mean[0], mean[1], mean[2]);
  return {row.saturation, row.brightness * row.contrast, row.brightness * (1.0F - row.contrast) * grey};
}

__device__ bool contains(const AugmentRectangle& rectangle, const Target& target) {
  return target.x >= rectangle.left && target.x < rectangle.right && target.y >= rectangle.top &&
         target.y < rectangle.bottom;
}

__global__ void __launch_bounds__(kThreads) recolour_kernel(const AugmentTask task) {
  const Target target = target_of(task);
  if (!target.inside) return;
  const AugmentRow& row = task.rows[blockIdx.y];
  const int64_t area = task.size * task.size;
  const int64_t pixel = static_cast<int64_t>(target.y) * task.size + target.x;
  float mean[3], rgb[3];
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    mean[c] = static_cast<float>(task.sums[3 * blockIdx.y + c]) / static_cast<float>(area);
    rgb[c] = static_cast<float>(task.sharpened[3 * target.at + c]);
  }
  const Colours colours = colours_of(row, mean);
  const bool erased = contains(row.erased, target), noise = erased && row.erase_with_noise;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    const uint8_t value = noise ? erasing_noise(row.seed, static_cast<uint32_t>(pixel), static_cast<uint32_t>(c))
                                : colours.changed(erased ? mean : rgb, c);
    task.images[(3 * static_cast<int64_t>(blockIdx.y) + c) * area + pixel] = value;
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
