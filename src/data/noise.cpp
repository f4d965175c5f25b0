#include "noise.h"

#include <array>
#include <bit>
#include <cmath>

namespace codmoe::data {
namespace {

uint32_t hash(int32_t x, int32_t y, uint32_t seed) {
  uint32_t h = seed ^ (static_cast<uint32_t>(x) * 0x9e3779b1U) ^ (static_cast<uint32_t>(y) * 0x85ebca77U);
  h = (h ^ (h >> 15)) * 0x2c1b3c6dU;
  h = (h ^ (h >> 12)) * 0x297a2d39U;
  return h ^ (h >> 15);
}

/// Dot product of the lattice point's gradient, one of eight directions, with the offset to it.
float slope(uint32_t h, float dx, float dy) {
  constexpr float kD = 0.70710678F;
  constexpr std::array<float, 8> kX{1, -1, 0, 0, kD, -kD, kD, -kD}, kY{0, 0, 1, -1, kD, kD, -kD, -kD};
  return kX[h & 7U] * dx + kY[h & 7U] * dy;
}

/// As std::floor, which is a call without SSE4.1.
int32_t floor_of(float value) {
  const auto truncated = static_cast<int32_t>(value);
  return truncated - (value < static_cast<float>(truncated) ? 1 : 0);
}

float fade(float t) { return t * t * t * (t * (t * 6 - 15) + 10); }

/// Coefficients from the highest power down (Horner).
template <std::size_t N>
double polynomial(const std::array<double, N>& coefficients, double x) {
  double sum = 0;
  for (const double coefficient : coefficients) sum = sum * x + coefficient;
  return sum;
}

/// Inverse of the standard normal distribution: Acklam's rational approximation (2003), relative error below 1.2e-9.
double normal_quantile(double p) {
  constexpr std::array kTailTop{-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                                -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr std::array kTailBottom{7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00,
                                   3.754408661907416e+00, 1.0};
  constexpr std::array kTop{-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                            1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr std::array kBottom{-5.447609879822406e+01, 1.615858368580409e+02,  -1.556989798598866e+02,
                               6.680131188771972e+01,  -1.328068155288572e+01, 1.0};
  if (p > 0.5) return -normal_quantile(1 - p);
  if (p < 0.02425) {
    const double q = std::sqrt(-2 * std::log(p));
    return polynomial(kTailTop, q) / polynomial(kTailBottom, q);
  }
  const double q = p - 0.5;
  return q * polynomial(kTop, q * q) / polynomial(kBottom, q * q);
}

/// Orders as the floats do; both zeros are one.
uint32_t sortable(float value) {
  const auto bits = std::bit_cast<uint32_t>(value + 0.0F);
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}

/// Stable, by three counting sorts of 11 bits: five times as fast as std::sort of an image's pixels.
void sort_by_upper_half(std::vector<uint64_t>& keys) {
  constexpr int kBits = 11;
  std::vector<uint64_t> sorted(keys.size());
  for (int shift = 32; shift < 64; shift += kBits) {
    const auto digit = [shift](uint64_t key) { return key >> shift & ((1U << kBits) - 1); };
    std::array<std::size_t, (1U << kBits) + 1> begins{};
    for (const uint64_t key : keys) ++begins[digit(key) + 1];
    for (std::size_t i = 1; i < begins.size(); ++i) begins[i] += begins[i - 1];
    for (const uint64_t key : keys) sorted[begins[digit(key)]++] = key;
    keys.swap(sorted);
  }
}

/// Sum of the octaves, in the texture's own frame.
float value_at(const Texture& texture, float u, float v) {
  if (texture.bend > 0) {
    const float du = gradient_noise(0.6F * u, 0.6F * v, texture.seed + 101);
    const float dv = gradient_noise(0.6F * u, 0.6F * v, texture.seed + 102);
    u += texture.bend * du;
    v += texture.bend * dv;
  }
  float sum = 0, amplitude = 1, frequency = 1;
  for (int octave = 0; octave < texture.octaves; ++octave) {
    const float value = gradient_noise(u * frequency, v * frequency, texture.seed + static_cast<uint32_t>(octave));
    sum += amplitude * (value + texture.ridges * (1 - 2 * std::abs(value) - value));
    amplitude *= texture.gain;
    frequency *= 2;
  }
  return sum;
}

}  // namespace

float gradient_noise(float x, float y, uint32_t seed) {
  const int32_t ix = floor_of(x), iy = floor_of(y);
  const float dx = x - static_cast<float>(ix), dy = y - static_cast<float>(iy);
  const float wx = fade(dx), wy = fade(dy);
  const float a = slope(hash(ix, iy, seed), dx, dy), b = slope(hash(ix + 1, iy, seed), dx - 1, dy);
  const float c = slope(hash(ix, iy + 1, seed), dx, dy - 1), d = slope(hash(ix + 1, iy + 1, seed), dx - 1, dy - 1);
  const float upper = a + wx * (b - a), lower = c + wx * (d - c);
  return 1.5F * (upper + wy * (lower - upper));
}

void Texture::add_to(std::vector<float>& field, int64_t size, const std::vector<int32_t>& pixels) const {
  const float u_scale = 1 / (wavelength * stretch), v_scale = 1 / wavelength;
  const float cosine = std::cos(angle), sine = std::sin(angle);
  for (const int32_t pixel : pixels) {
    const auto x = static_cast<float>(pixel % size), y = static_cast<float>(pixel / size);
    const float u = (cosine * x + sine * y) * u_scale, v = (cosine * y - sine * x) * v_scale;
    field[static_cast<std::size_t>(pixel)] += value_at(*this, u, v);
  }
}

void normalise_by_rank(std::vector<float>& field, const std::vector<int32_t>& pixels) {
  std::vector<uint64_t> order;
  order.reserve(pixels.size());
  for (const int32_t pixel : pixels) {
    order.push_back(uint64_t{sortable(field[static_cast<std::size_t>(pixel)])} << 32 | static_cast<uint32_t>(pixel));
  }
  sort_by_upper_half(order);
  const auto count = static_cast<double>(order.size());
  for (std::size_t rank = 0; rank < order.size(); ++rank) {
    field[order[rank] & 0xFFFFFFFFU] = static_cast<float>(normal_quantile((static_cast<double>(rank) + 0.5) / count));
  }
}

}  // namespace codmoe::data
