#include "codmoe/metrics/distance_transform.h"

#include <algorithm>

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

}  // namespace

NearestForeground::NearestForeground(const uint8_t* mask, int64_t height, int64_t width)
    : height_(static_cast<int32_t>(height)),
      width_(static_cast<int32_t>(width)),
      nearest_row_(static_cast<std::size_t>(height * width)),
      envelope_(static_cast<std::size_t>(width) + 1),
      start_(static_cast<std::size_t>(width) + 1) {
  std::vector<int16_t> seen(static_cast<std::size_t>(width), -1);
  for (int64_t i = 0; i < height; ++i) {
    const uint8_t* in = mask + i * width;
    int16_t* out = nearest_row_.data() + i * width;
    const auto here = static_cast<int16_t>(i);
    for (std::size_t j = 0; j < seen.size(); ++j) out[j] = seen[j] = in[j] ? here : seen[j];
  }
  std::fill(seen.begin(), seen.end(), int16_t{-1});
  for (int64_t i = height; i-- > 0;) {
    const uint8_t* in = mask + i * width;
    int16_t* out = nearest_row_.data() + i * width;
    const auto here = static_cast<int16_t>(i);
    for (std::size_t j = 0; j < seen.size(); ++j) {
      const int16_t below = seen[j] = in[j] ? here : seen[j];
      // A column without foreground has -1 in both.
      const bool nearer = below >= 0 && (out[j] < 0 || below - here < here - out[j]);
      out[j] = nearer ? below : out[j];
    }
  }
}

void NearestForeground::collect_sites(int32_t i) {
  const int16_t* nearest = nearest_row_.data() + static_cast<int64_t>(i) * width_;
  sites_ = 0;
  for (int32_t j = 0; j < width_; ++j) {
    const int32_t row = nearest[j];
    const bool enclosed = row == i && j > 0 && j + 1 < width_ && nearest[j - 1] == i && nearest[j + 1] == i;
    envelope_[sites_] = {j, row, (row - i) * (row - i)};
    sites_ += row >= 0 && !enclosed ? 1 : 0;  // an enclosed pixel is nearest to itself alone
  }
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
  if (onwards) return;
  const int16_t* nearest = nearest_row_.data() + i * width_;
  for (int32_t j = 0; j < width_; ++j) {
    index[j] = nearest[j] == here ? here * width_ + j : index[j];
    squared_distance[j] = nearest[j] == here ? 0 : squared_distance[j];
  }
}

}  // namespace codmoe::metrics
