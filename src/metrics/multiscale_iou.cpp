#include "codmoe/metrics/multiscale_iou.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>
#include <vector>

namespace codmoe::metrics {
namespace {

constexpr int scales = 10;

// One bit for each decision `level >= k`, k = 0 … 255: what a pixel is at all thresholds at once.
struct Bits {
  std::array<uint64_t, 4> words{};

  Bits& operator|=(const Bits& other) {
    for (std::size_t w = 0; w < 4; ++w) words[w] |= other.words[w];
    return *this;
  }
};

// By level.
const std::array<Bits, 256>& decisions() {
  static const std::array<Bits, 256> table = [] {
    std::array<Bits, 256> bits{};
    for (std::size_t level = 0; level < 256; ++level) {
      for (std::size_t k = 0; k <= level; ++k) bits[level].words[k / 64] |= uint64_t{1} << (k % 64);
    }
    return bits;
  }();
  return table;
}

// Where a + 2b + c and d + 2e + f differ, by bits.
uint64_t differ(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {
  const uint64_t ac = a & c;
  const uint64_t df = d & f;
  return (a ^ c ^ d ^ f) | (b ^ ac ^ e ^ df) | ((b & ac) ^ (e & df));
}

// A 3x3 neighbourhood without its middle, clockwise from the top left.
template <class T>
using Ring = std::array<T, 8>;

Bits edge_of(const Ring<const Bits*>& n) {
  Bits edge;
  for (std::size_t w = 0; w < 4; ++w) {
    const auto at = [&](std::size_t k) { return n[k]->words[w]; };
    edge.words[w] = differ(at(0), at(1), at(2), at(6), at(5), at(4)) | differ(at(0), at(7), at(6), at(2), at(3), at(4));
  }
  return edge;
}

// Levels or masks with a frame of their own around the image, by number one higher than what is inside; 0 is outside.
struct Framed {
  int64_t height;
  int64_t width;
  std::vector<uint16_t> pixels;

  explicit Framed(const at::Tensor& image_hw)
      : height(image_hw.size(0)),
        width(image_hw.size(1)),
        pixels(static_cast<std::size_t>((height + 2) * (width + 2))) {
    const auto* in = image_hw.const_data_ptr<uint8_t>();
    for (int64_t i = 0; i < height; ++i) {
      uint16_t* out = pixels.data() + (i + 1) * (width + 2) + 1;
      for (int64_t j = 0; j < width; ++j) out[j] = static_cast<uint16_t>(in[i * width + j] + 1);
    }
  }

  Ring<uint16_t> ring(int64_t i, int64_t j) const {
    const uint16_t* p = pixels.data() + i * (width + 2) + j;
    const int64_t row = width + 2;
    return {p[0], p[1], p[2], p[row + 2], p[2 * row + 2], p[2 * row + 1], p[2 * row], p[row]};
  }
};

// Edges of the mask as bits too: only that of `level >= 1` is of use.
Bits edge_at(const Framed& image, int64_t i, int64_t j) {
  const Ring<uint16_t> ring = image.ring(i, j);
  if (std::all_of(ring.begin() + 1, ring.end(), [&](uint16_t n) { return n == ring[0]; })) return {};
  static const Bits outside;
  Ring<const Bits*> bits;
  for (std::size_t k = 0; k < 8; ++k) bits[k] = ring[k] == 0 ? &outside : &decisions()[ring[k] - std::size_t{1}];
  return edge_of(bits);
}

// One scale: a cell has an edge where one of its pixels has. Cell (0, 0) is at the bottom right.
struct Grid {
  int64_t height;
  int64_t width;
  std::vector<Bits> pred;
  std::vector<uint8_t> mask;

  Grid(int64_t h, int64_t w)
      : height(h), width(w), pred(static_cast<std::size_t>(h * w)), mask(static_cast<std::size_t>(h * w)) {}

  void merge(int64_t i, int64_t j, const Bits& pred_edge, bool mask_edge) {
    const auto cell = static_cast<std::size_t>(i * width + j);
    pred[cell] |= pred_edge;
    mask[cell] |= static_cast<uint8_t>(mask_edge);
  }
};

// Cells of the mask's edge, and how many of them the edges of the 257 decisions meet.
class Meetings {
 public:
  void add(const Bits& pred) {
    ++cells_;
    uint64_t before = 0;
    for (std::size_t w = 0; w < 4; ++w) {
      const uint64_t word = pred.words[w];
      for (uint64_t toggled = word ^ (word << 1 | before); toggled != 0; toggled &= toggled - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(toggled));
        steps_[64 * w + bit] += (word >> bit & 1) != 0 ? 1 : -1;
      }
      before = word >> 63;
    }
    steps_[256] -= static_cast<int64_t>(before);
  }

  std::array<double, 257> shares() const {
    const auto half = [](double x) { return static_cast<double>(c10::Half(static_cast<float>(x))); };
    const double all = half(half(static_cast<double>(cells_)) + 1);
    std::array<double, 257> list{};
    int64_t met = 0;
    for (std::size_t k = 0; k < list.size(); ++k) {
      met += steps_[k];
      list[k] = static_cast<double>(met + 1) / all;
    }
    return list;
  }

 private:
  int64_t cells_ = 0;
  std::array<int64_t, 257> steps_{};
};

std::array<double, 257> shares_of(const Grid& grid) {
  Meetings meetings;
  for (std::size_t cell = 0; cell < grid.mask.size(); ++cell) {
    if (grid.mask[cell] != 0) meetings.add(grid.pred[cell]);
  }
  return meetings.shares();
}

Grid coarser(const Grid& fine) {
  Grid grid((fine.height + 1) / 2, (fine.width + 1) / 2);
  for (int64_t i = 0; i < fine.height; ++i) {
    for (int64_t j = 0; j < fine.width; ++j) {
      const auto cell = static_cast<std::size_t>(i * fine.width + j);
      grid.merge(i / 2, j / 2, fine.pred[cell], fine.mask[cell] != 0);
    }
  }
  return grid;
}

// The pixels themselves are not kept, but only their shares and the grid of 2x2 cells.
std::pair<std::array<double, 257>, Grid> finest(const ImagePair& pair) {
  const Framed pred(pair.pred_hw);
  const Framed mask(pair.mask_hw);
  Grid grid((pair.height + 1) / 2, (pair.width + 1) / 2);
  Meetings meetings;
  for (int64_t i = 0; i < pair.height; ++i) {
    for (int64_t j = 0; j < pair.width; ++j) {
      const Bits pred_edge = edge_at(pred, i, j);
      const bool mask_edge = (edge_at(mask, i, j).words[0] & 2) != 0;
      if (mask_edge) meetings.add(pred_edge);
      grid.merge((pair.height - 1 - i) / 2, (pair.width - 1 - j) / 2, pred_edge, mask_edge);
    }
  }
  return {meetings.shares(), std::move(grid)};
}

// By lowest level that is positive; 256 where none is.
std::array<double, 257> areas_by_level(const ImagePair& pair) {
  auto [shares, grid] = finest(pair);
  std::array<double, 257> areas{};
  const auto add = [&areas](const std::array<double, 257>& share, double weight) {
    for (std::size_t k = 0; k < areas.size(); ++k) areas[k] += weight * share[k] / (scales - 1);
  };
  add(shares, 0.5);  // trapezoidal rule
  for (int scale = 1; scale < scales; ++scale) {
    if (scale > 1) grid = coarser(grid);
    add(shares_of(grid), scale + 1 < scales ? 1 : 0.5);
  }
  return areas;
}

template <class Positive>
std::size_t lowest_level(const ImagePair& pair, const Positive& positive) {
  for (std::size_t k = 0; k < 256; ++k) {
    if (pair.levels[0][k] + pair.levels[1][k] > 0 && positive(pair.value[k])) return k;
  }
  return 256;
}

}  // namespace

CurveScores multiscale_iou(const ImagePair& pair) {
  const std::array<double, 257> areas = areas_by_level(pair);
  const auto area = [&](const auto& positive) { return areas[lowest_level(pair, positive)]; };
  CurveScores scores;
  scores.adaptive = area([&](double value) { return value >= pair.adaptive_threshold; });
  scores.binary = area([](double value) { return value > 0.5; });
  for (int t = 0; t <= thresholds; ++t) {
    scores.curve.push_back(area([t](double value) { return static_cast<int>(value * 255) >= t; }));
  }
  return scores;
}

}  // namespace codmoe::metrics
