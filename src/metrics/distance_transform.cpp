#include "codmoe/metrics/distance_transform.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vector_clones.h"

namespace codmoe::metrics {
namespace {

using Site = NearestForeground::Site;

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

// Written in blocks, past the end of a run of columns that share a site, where the next run overwrites it: most runs
// are shorter than a block.
constexpr int32_t block = 8;

template <class Fill>
__attribute__((always_inline)) inline void fill_runs(std::span<const Site> sites, int32_t width, const Fill& fill) {
  for (std::size_t k = 0; k < sites.size(); ++k) {
    const int32_t end = k + 1 < sites.size() ? sites[k + 1].first : width;
    for (int32_t j = sites[k].first; j < end; j += block) fill(sites[k], j);
  }
}

CODMOE_VECTOR_CLONES void fill_squared_distances(std::span<const Site> sites, int32_t width, int32_t* out) {
  fill_runs(sites, width, [out](const Site& site, int32_t first) {
    const auto height = static_cast<uint32_t>(site.height);  // of which a block may pass what an int32 holds
    for (int32_t j = first; j < first + block; ++j) {
      const auto columns = static_cast<uint32_t>(j - site.column);
      out[j] = static_cast<int32_t>(columns * columns + height);
    }
  });
}

CODMOE_VECTOR_CLONES void put_zeros(const uint8_t* mask, int32_t* __restrict out, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) out[j] = mask[j] != 0 ? 0 : out[j];
}

// Foreground between foreground is nearest to itself alone. A column without foreground has -1 in both.
CODMOE_VECTOR_CLONES void mark_candidates(const uint8_t* mask, const int16_t* nearest, const int16_t* hidden,
                                          uint8_t* __restrict out, std::size_t n) {
  for (std::size_t j = 1; j + 1 < n; ++j) {
    out[j] = static_cast<uint8_t>((nearest[j] != hidden[j]) & ((mask[j - 1] & mask[j] & mask[j + 1]) ^ 1));
  }
  for (const std::size_t j : {std::size_t{0}, n - 1}) out[j] = nearest[j] != hidden[j];
}

}  // namespace

NearestForeground::NearestForeground(const uint8_t* mask, int64_t height, int64_t width)
    : mask_(mask),
      width_(static_cast<int32_t>(width)),
      box_(bounding_box(mask, height, width)),
      nearest_row_(static_cast<std::size_t>(box_.height() * box_.width())),
      hidden_(static_cast<std::size_t>(box_.width()), -1),
      candidates_((hidden_.size() + 7) / 8 * 8),
      envelope_(static_cast<std::size_t>(box_.width())),
      distances_(static_cast<std::size_t>(width + block)),
      values_(static_cast<std::size_t>(width + block)) {
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

// A pixel's cell of the Voronoi diagram is convex: where this row lies between the two, it doesn't reach past it.
void NearestForeground::remember_hidden(int32_t column, int32_t row) {
  if (upwards_ ? row > row_ : row < row_) {
    hidden_[static_cast<std::size_t>(column - box_.left)] = static_cast<int16_t>(row);
  }
}

// Removes those that it leaves nearest nowhere. All numbers are integers that a double holds exactly.
void NearestForeground::add_site(int32_t column, int32_t row) {
  const int32_t height = (row - row_) * (row - row_);
  const double weight = static_cast<double>(column) * column + height;
  double rise = 0;
  double run = 0;
  while (sites_ > 0) {
    const Site& last = envelope_[sites_ - 1];
    rise = weight - last.weight;
    run = 2.0 * (column - last.column);
    if (rise * last.run > last.rise * run) break;
    remember_hidden(last.column, last.row);
    --sites_;
  }
  if (sites_ == 0) {  // nearest from before the first column on
    rise = -1;
    run = 1;
  }
  if (rise >= (width_ - 1) * run) return remember_hidden(column, row);
  envelope_[sites_++] = {column, row, height, 0, weight, rise, run};
}

void NearestForeground::go_to(int64_t i) {
  const auto row = static_cast<int32_t>(i);
  if ((row < row_) != upwards_) {
    upwards_ = row < row_;
    std::fill(hidden_.begin(), hidden_.end(), int16_t{-1});
  }
  row_ = row;
  sites_ = 0;
  const int64_t row_of_box = std::clamp<int64_t>(i, box_.top, box_.bottom - 1) - box_.top;
  const int16_t* nearest = nearest_row_.data() + row_of_box * box_.width();
  mark_candidates(mask_row(), nearest, hidden_.data(), candidates_.data(), hidden_.size());
  for (std::size_t j = 0; j < candidates_.size(); j += sizeof(uint64_t)) {
    uint64_t marks = 0;  // a byte a column, the first of which comes lowest
    static_assert(std::endian::native == std::endian::little);
    std::memcpy(&marks, candidates_.data() + j, sizeof marks);
    for (; marks != 0; marks &= marks - 1) {
      const std::size_t column = j + static_cast<std::size_t>(std::countr_zero(marks)) / 8;
      add_site(static_cast<int32_t>(box_.left) + static_cast<int32_t>(column), nearest[column]);
    }
  }
  for (std::size_t k = 0; k < sites_; ++k) {
    envelope_[k].first = static_cast<int32_t>(envelope_[k].rise / envelope_[k].run + 1);
  }
}

std::span<const int32_t> NearestForeground::squared_distances() {
  fill_squared_distances({envelope_.data(), sites_}, width_, distances_.data());
  put_zeros(mask_row(), distances_.data() + box_.left, hidden_.size());
  return {distances_.data(), static_cast<std::size_t>(width_)};
}

std::span<const uint8_t> NearestForeground::values_of(const uint8_t* image) {
  fill_runs({envelope_.data(), sites_}, width_, [this, image](const Site& site, int32_t first) {
    std::memset(values_.data() + first, image[site.row * width_ + site.column], block);
  });
  return {values_.data(), static_cast<std::size_t>(width_)};
}

}  // namespace codmoe::metrics
