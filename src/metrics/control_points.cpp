#include "control_points.h"

#include <utility>

namespace codmoe::metrics {
namespace {

constexpr int64_t squared_tolerance = 4;

struct Arrow {
  int64_t x;
  int64_t y;
};

Arrow operator-(const ContourPoint& a, const ContourPoint& b) { return {int64_t{a.x} - b.x, int64_t{a.y} - b.y}; }

int64_t dot(const Arrow& a, const Arrow& b) { return a.x * b.x + a.y * b.y; }
int64_t cross(const Arrow& a, const Arrow& b) { return a.x * b.y - a.y * b.x; }

// Squared distance from `p` to the segment, times the squared length of this.
int64_t scaled_distance(const ContourPoint& p, const ContourPoint& begin, const ContourPoint& end) {
  const Arrow segment = end - begin;
  const Arrow from_begin = p - begin;
  const int64_t length = dot(segment, segment);
  const int64_t projection = dot(from_begin, segment);
  if (projection < 0) return dot(from_begin, from_begin) * length;
  if (projection > length) return dot(p - end, p - end) * length;
  const int64_t area = cross(from_begin, segment);
  return area * area;
}

// Corners between the first and the last point.
std::vector<ContourPoint> corners(const std::vector<ContourPoint>& curve) {
  std::vector<ContourPoint> list;
  std::vector<std::pair<std::size_t, std::size_t>> open{{0, curve.size() - 1}};
  while (!open.empty()) {
    const auto [begin, end] = open.back();
    open.pop_back();
    int64_t most = 0;
    std::size_t farthest = begin;
    for (std::size_t k = begin + 1; k < end; ++k) {
      const int64_t distance = scaled_distance(curve[k], curve[begin], curve[end]);
      if (distance > most) most = distance, farthest = k;
    }
    if (most <= squared_tolerance * dot(curve[end] - curve[begin], curve[end] - curve[begin])) {
      list.push_back(curve[begin]);
    } else {
      open.emplace_back(farthest, end);
      open.emplace_back(begin, farthest);
    }
  }
  list.push_back(curve.back());
  return list;
}

// Whether `middle` may go: the way through it is neither bent nor, by its ends, upright or level.
bool is_straight(const ContourPoint& begin, const ContourPoint& middle, const ContourPoint& end) {
  const Arrow way = end - begin;
  const int64_t area = cross(middle - begin, way);
  return 2 * area * area <= squared_tolerance * dot(way, way) && way.x != 0 && way.y != 0 &&
         dot(middle - begin, end - middle) >= 0;
}

}  // namespace

int64_t control_points(const std::vector<ContourPoint>& curve) {
  if (curve.size() < 3) return static_cast<int64_t>(curve.size());
  const std::vector<ContourPoint> list = corners(curve);
  auto left = static_cast<int64_t>(list.size());
  ContourPoint begin = list[0];
  for (std::size_t k = 1; k + 1 < list.size() && left > 2; ++k) {
    if (is_straight(begin, list[k], list[k + 1])) {
      --left;
      begin = list[++k];  // the end of the straight way stays
    } else {
      begin = list[k];
    }
  }
  return left;
}

}  // namespace codmoe::metrics
