#pragma once

#include <cstdint>
#include <vector>

namespace codmoe::metrics {

/// Rows and columns of an image; half open.
struct Box {
  int64_t top = 0, bottom = 0, left = 0, right = 0;

  int64_t height() const { return bottom - top; }
  int64_t width() const { return right - left; }
};

/// Exact Euclidean feature transform of a mask of 0 and 1, made row by row. Of several nearest foreground pixels the
/// one in the leftmost column is taken, then the uppermost: the choice of scipy.ndimage.distance_transform_edt. Maurer,
/// Qi, Raghavan, A linear time algorithm for computing exact Euclidean distance transforms, TPAMI 2003.
class NearestForeground {
 public:
  /// @param mask [height, width] row-major with at least one 1; height and width at most 32767
  NearestForeground(const uint8_t* mask, int64_t height, int64_t width);

  /// Of each pixel of row `i`: the index (row * width + column) of the nearest foreground pixel, and the squared
  /// distance to it. Both arrays take `width` numbers.
  /// @param onwards the row before was `i`'s neighbour on the side of all foreground: faster, for what is nearest
  ///   nowhere in a row is so in all rows further off
  void row(int64_t i, int32_t* index, int32_t* squared_distance, bool onwards = false);

  /// The smallest that holds all foreground: nothing outside it is searched.
  const Box& box() const { return box_; }

 private:
  /// The foreground pixel of one column nearest to the row at hand.
  struct Site {
    int32_t column;
    int32_t row;
    int32_t height;  ///< squared distance to it along the column
  };

  void collect_sites(int32_t i);
  void drop_hidden_sites();

  const int16_t* nearest_rows(int32_t i) const;

  int32_t width_;
  Box box_;
  std::vector<int16_t> nearest_row_;  ///< of each pixel of the box in its own column; -1 in a column without foreground
  std::size_t sites_ = 0;
  std::vector<Site> envelope_;  ///< the first `sites_`: those nearest somewhere in the row, and
  std::vector<int32_t> start_;  ///< the column from which each is
};

}  // namespace codmoe::metrics
