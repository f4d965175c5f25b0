#include "synth_shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numbers>

#include "noise.h"

namespace codmoe::data {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

/// An ellipse whose radius swings with the angle; coordinates are parts of the image side.
struct Blob {
  float x, y, cosine, sine, long_axis, short_axis;
  std::array<float, 4> swing, phase;  // of 2, 3, 4, 5 periods a turn

  /// No height at this place is above it; much quicker.
  float most(float px, float py) const {
    const float longest = 1 + swing[0] + swing[1] + swing[2] + swing[3];
    const float dx = px - x, dy = py - y;
    return 1 - std::sqrt(dx * dx + dy * dy) / (std::max(long_axis, short_axis) * longest);
  }

  /// Falls from 1 at the centre through 0 at the outline of the unit blob.
  float height(float px, float py) const {
    const float u = (cosine * (px - x) + sine * (py - y)) / long_axis;
    const float v = (cosine * (py - y) - sine * (px - x)) / short_axis;
    const float angle = std::atan2(v, u);
    float radius = 1;
    for (std::size_t k = 0; k < swing.size(); ++k) {
      radius += swing[k] * std::cos(static_cast<float>(k + 2) * angle + phase[k]);
    }
    return 1 - std::hypot(u, v) / radius;
  }
};

Blob draw_blob(Random& random, double margin) {
  const auto draw = [&](double low, double high) { return static_cast<float>(random.uniform(low, high)); };
  Blob blob{};
  blob.x = draw(margin, 1 - margin);
  blob.y = draw(margin, 1 - margin);
  const float angle = draw(0, kTurn);
  blob.cosine = std::cos(angle);
  blob.sine = std::sin(angle);
  blob.long_axis = draw(0.22, 0.34);
  blob.short_axis = blob.long_axis * draw(0.45, 0.95);
  for (std::size_t k = 0; k < blob.swing.size(); ++k) {
    blob.swing[k] = draw(0, 0.22 / static_cast<double>(k + 1));
    blob.phase[k] = draw(0, kTurn);
  }
  return blob;
}

/// Mitchell's best candidate: of a few places the one farthest from all blobs so far.
void move_apart(Blob& blob, const std::vector<Blob>& others, Random& random) {
  constexpr double kMargin = 0.1;
  float best = -1;
  for (int i = 0; i < 10; ++i) {
    const auto x = static_cast<float>(random.uniform(kMargin, 1 - kMargin));
    const auto y = static_cast<float>(random.uniform(kMargin, 1 - kMargin));
    float nearest = 2;
    for (const Blob& other : others) nearest = std::min(nearest, std::hypot(other.x - x, other.y - y));
    if (nearest <= best) continue;
    best = nearest;
    blob.x = x;
    blob.y = y;
  }
}

std::vector<Blob> draw_scattered_blobs(Random& random, const ObjectPlan& plan) {
  const int64_t count = plan.min_count + random.below(plan.max_count - plan.min_count + 1);
  std::vector<Blob> blobs;
  for (int64_t i = 0; i < count; ++i) {
    Blob blob = draw_blob(random, 0.2);
    move_apart(blob, blobs, random);
    blobs.push_back(blob);
  }
  return blobs;
}

std::vector<Blob> draw_few_blobs(Random& random, const ObjectPlan& plan) {
  int64_t count = plan.min_count;
  while (count < plan.max_count && random.chance(0.35)) ++count;
  std::vector<Blob> blobs;
  for (int64_t i = 0; i < count; ++i) blobs.push_back(draw_blob(random, count == 1 ? 0.3 : 0.2));
  return blobs;
}

std::vector<Blob> draw_blobs(Random& random, const ObjectPlan& plan) {
  std::vector<Blob> blobs = plan.scattered ? draw_scattered_blobs(random, plan) : draw_few_blobs(random, plan);
  const float axes = plan.scattered ? plan.axes / std::sqrt(static_cast<float>(blobs.size())) : plan.axes;
  for (Blob& blob : blobs) {
    blob.long_axis *= axes;
    blob.short_axis *= axes;
  }
  return blobs;
}

std::vector<float> heights(int64_t size, const std::vector<Blob>& blobs, uint32_t seed) {
  std::vector<float> field;
  field.reserve(static_cast<std::size_t>(size * size));
  const float pixel = 1 / static_cast<float>(size);
  GradientNoise coarse(seed), fine(seed + 1);
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = 0; column < size; ++column) {
      const float x = (static_cast<float>(column) + 0.5F) * pixel, y = (static_cast<float>(row) + 0.5F) * pixel;
      float highest = -1e9F;
      for (const Blob& blob : blobs) {
        if (blob.most(x, y) > highest) highest = std::max(highest, blob.height(x, y));
      }
      field.push_back(highest + 0.10F * coarse.at(8 * x, 8 * y) + 0.04F * fine.at(18 * x, 18 * y));
    }
  }
  return field;
}

/// The level that exactly `count` pixels exceed.
float level_above(std::vector<float> field, int64_t count) {
  const auto at = field.begin() + count;
  std::nth_element(field.begin(), at, field.end(), std::greater<>());
  return *at;
}

/// Divides by the local slope, which turns heights into pixels.
std::vector<float> to_distance(const std::vector<float>& field, int64_t size, float level) {
  std::vector<float> distance(field.size());
  const auto value = [&](int64_t row, int64_t column) {
    return field[static_cast<std::size_t>(std::clamp<int64_t>(row, 0, size - 1) * size +
                                          std::clamp<int64_t>(column, 0, size - 1))];
  };
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = 0; column < size; ++column) {
      const float dx = (value(row, column + 1) - value(row, column - 1)) / 2;
      const float dy = (value(row + 1, column) - value(row - 1, column)) / 2;
      const float steepness = std::max(std::hypot(dx, dy), 0.5F / static_cast<float>(size));
      distance[static_cast<std::size_t>(row * size + column)] = (value(row, column) - level) / steepness;
    }
  }
  return distance;
}

}  // namespace

Shape make_shape(int64_t size, double coverage, const ObjectPlan& plan, Random& random) {
  const std::vector<Blob> blobs = draw_blobs(random, plan);
  const std::vector<float> field = heights(size, blobs, static_cast<uint32_t>(random.bits()));
  const auto wanted = static_cast<int64_t>(coverage * static_cast<double>(size * size));
  Shape shape;
  shape.distance = to_distance(field, size, level_above(field, wanted));
  shape.pixels_inside = std::count_if(shape.distance.begin(), shape.distance.end(), [](float d) { return d > 0; });
  return shape;
}

}  // namespace codmoe::data
