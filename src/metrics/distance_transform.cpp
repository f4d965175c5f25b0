#include "codmoe/metrics/distance_transform.h"

#include <algorithm>
#include <cstring>

#include "vector_clones.h"

namespace codmoe::metrics {
namespace {

// Whether `middle` is nearest nowhere, its parabola lying above where those of the other two meet.
template <class Site>
bool is_hidden(const Site& left, const Site& middle, const Site& right) {
  const int64_t a = middle.column - left.column;
  const int64_t b = right.column - middle.column;
  return (a + b) * middle.height - b * left.height - a * right.height > a * b * (a + b);
}

// First column from which `next` is strictly nearer than `last`, a site to its left.
template <class Site>
int32_t first_nearer(const Site& last, const Site& next) {
  const auto weight = [](const Site& site) { return static_cast<double>(site.column) * site.column + site.height; };
  const double doubled = weight(next) - weight(last);
  // The quotient of two integers this small is rounded to no other integer.
  return doubled < 0 ? 0 : static_cast<int32_t>(doubled / (2.0 * (next.column - last.column))) + 1;
}

Box bounding_box(const uint8_t* mask, int64_t height, int64_t width) {
  Box box{height, 0, width, 0};
  for (int64_t i = 0; i < height; ++i) {
    const uint8_t* row = mask + i * width;
    const uint8_t* end = row + width;
    const auto* first = static_cast<const uint8_t*>(std::memchr(row, 1, static_cast<std::size_t>(width)));
    if (first == nullptr) continue;
    while (end[-1] == 0) --end;
    box = {std::min(box.top, i), i + 1, std::min<int64_t>(box.left, first - row),
           std::max<int64_t>(box.right, end - row)};
  }
  return box;
}

// Row `i` of the nearest rows by the row before it, from the top.
CODMOE_VECTOR_CLONES void nearest_above(const uint8_t* mask, int16_t i, int16_t* seen, int16_t* out, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) out[j] = seen[j] = mask[j] != 0 ? i : seen[j];
}

// The same from the bottom, where it is nearer.
CODMOE_VECTOR_CLONES void nearest_below(const uint8_t* mask, int16_t i, int16_t* seen, int16_t* out, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    const int16_t below = seen[j] = mask[j] != 0 ? i : seen[j];
    // A column without foreground has -1 in both.
    const bool nearer = below >= 0 && (out[j] < 0 || below - i < i - out[j]);
    out[j] = nearer ? below : out[j];
  }
}

}  // namespace

NearestForeground::NearestForeground(const uint8_t* mask, int64_t height, int64_t width)
    : width_(static_cast<int32_t>(width)),
      box_(bounding_box(mask, height, width)),
      nearest_row_(static_cast<std::size_t>(box_.height() * box_.width())),
      envelope_(static_cast<std::size_t>(box_.width()) + 1),
      start_(static_cast<std::size_t>(box_.width()) + 1) {
  const auto n = static_cast<std::size_t>(box_.width());
  const auto out = [&](int64_t i) { return nearest_row_.data() + (i - box_.top) * box_.width(); };
  std::vector<int16_t> seen(n, -1);
  for (int64_t i = box_.top; i < box_.bottom; ++i) {
    nearest_above(mask + i * width + box_.left, static_cast<int16_t>(i), seen.data(), out(i), n);
  }
  std::fill(seen.begin(), seen.end(), int16_t{-1});
  for (int64_t i = box_.bottom; i-- > box_.top;) {
    nearest_below(mask + i * width + box_.left, static_cast<int16_t>(i), seen.data(), out(i), n);
  }
}

// By columns of the box; of a row outside it those of its edge.
const int16_t* NearestForeground::nearest_rows(int32_t i) const {
  return nearest_row_.data() + (std::clamp<int64_t>(i, box_.top, box_.bottom - 1) - box_.top) * box_.width();
}

void NearestForeground::collect_sites(int32_t i) {
  const int16_t* nearest = nearest_rows(i);
  const auto left = static_cast<int32_t>(box_.left);
  const auto width = static_cast<int32_t>(box_.width());
  std::size_t n = 0;
  for (int32_t j = 0; j < width; ++j) {
    const int32_t row = nearest[j];
    const bool enclosed = row == i && j > 0 && j + 1 < width && nearest[j - 1] == i && nearest[j + 1] == i;
    envelope_[n] = {left + j, row, (row - i) * (row - i)};
    n += row >= 0 && !enclosed ? 1 : 0;  // an enclosed pixel is nearest to itself alone
  }
  sites_ = n;
}

void NearestForeground::drop_hidden_sites() {
  std::size_t n = 0;
  for (std::size_t k = 0; k < sites_; ++k) {
    const Site site = envelope_[k];
    while (n > 1 && is_hidden(envelope_[n - 2], envelope_[n - 1], site)) --n;
    envelope_[n++] = site;
  }
  sites_ = n;
  for (std::size_t k = 1; k < n; ++k) start_[k] = std::min(first_nearer(envelope_[k - 1], envelope_[k]), width_);
  start_[n] = width_;
}

void NearestForeground::row(int64_t i, int32_t* index, int32_t* squared_distance, bool onwards) {
  const auto here = static_cast<int32_t>(i);
  if (onwards) {
    for (std::size_t k = 0; k < sites_; ++k) {
      const int32_t rows = envelope_[k].row - here;
      envelope_[k].height = rows * rows;
    }
  } else {
    collect_sites(here);
  }
  drop_hidden_sites();
  for (std::size_t k = 0; k < sites_; ++k) {
    const Site site = envelope_[k];
    for (int32_t j = start_[k]; j < start_[k + 1]; ++j) {
      index[j] = site.row * width_ + site.column;
      squared_distance[j] = (j - site.column) * (j - site.column) + site.height;
    }
  }
  if (here < box_.top || here >= box_.bottom) return;
  const int16_t* nearest = nearest_rows(here);
  for (auto j = static_cast<int32_t>(box_.left); j < static_cast<int32_t>(box_.right); ++j, ++nearest) {
    index[j] = *nearest == here ? here * width_ + j : index[j];
    squared_distance[j] = *nearest == here ? 0 : squared_distance[j];
  }
}

}  // namespace codmoe::metrics
