#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace codmoe::metrics {

/// Rows and columns of an image; half open.
struct Box {
  int64_t top = 0, bottom = 0, left = 0, right = 0;

  int64_t height() const { return bottom - top; }
  int64_t width() const { return right - left; }
};

/// Exact Euclidean feature transform of a mask of 0 and 1, made row by row. Of several nearest foreground pixels the
/// one in the leftmost column is taken, then the uppermost: the choice of scipy.ndimage.distance_transform_edt.
/// Felzenszwalb, Huttenlocher, Distance transforms of sampled functions, Theory of Computing 2012.
class NearestForeground {
 public:
  /// @param mask [height, width] row-major with at least one 1, read until the end; height and width at most 32767
  NearestForeground(const uint8_t* mask, int64_t height, int64_t width);

  /// Takes row `i`, which what follows is of. Fastest from the middle of the box outwards, for a pixel that is nearest
  /// nowhere in a row is so in all rows beyond it.
  void go_to(int64_t i);

  /// To the nearest foreground pixel of each pixel of the row. Valid until the next call.
  std::span<const int32_t> squared_distances();

  /// What `image` [height, width] has at the nearest foreground pixel of each background pixel of the row; of a
  /// foreground pixel nothing certain. Valid until the next call.
  std::span<const uint8_t> values_of(const uint8_t* image);

  /// The smallest that holds all foreground: nothing outside it is searched.
  const Box& box() const { return box_; }

  /// The foreground pixel of one column nearest to the row at hand.
  struct Site {
    int32_t column;
    int32_t row;
    int32_t height;  ///< squared distance to it along the column
    int32_t first;   ///< column from which it is nearest
    double weight;   ///< column² + height
    double rise;     ///< rise / run is where its parabola meets that of the site before
    double run;
  };

 private:
  void add_site(int32_t column, int32_t row);
  void remember_hidden(int32_t column, int32_t row);
  void find_candidates();
  const uint8_t* mask_row() const { return mask_ + row_ * width_ + box_.left; }

  const uint8_t* mask_;
  int32_t width_;
  Box box_;
  std::vector<int16_t> nearest_row_;  ///< of each pixel of the box in its own column; -1 in a column without foreground
  int32_t row_ = -1;
  bool upwards_ = false;  ///< from the row before to this one
  // By column of the box: the row of a pixel that is nearest nowhere from here on, or -1; and whether the nearest pixel
  // may be one of the row's sites.
  std::vector<int16_t> hidden_;
  std::vector<uint8_t> candidates_;
  std::size_t sites_ = 0;
  std::vector<Site> envelope_;  ///< the first `sites_`: those nearest somewhere in the row
  std::vector<int32_t> distances_;
  std::vector<uint8_t> values_;
};

}  // namespace codmoe::metrics
