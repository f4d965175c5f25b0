#include "codmoe/report/object_layout.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace codmoe::report {
namespace {

// Neighbouring foreground pixels of one row.
struct Run {
  int64_t begin, end;  // half open
  std::size_t region;
};

struct Region {
  std::size_t parent;
  int64_t area = 0;
  double x_sum = 0, y_sum = 0;
  bool touches_border = false;

  void operator+=(const Region& other) {
    area += other.area;
    x_sum += other.x_sum;
    y_sum += other.y_sum;
    touches_border = touches_border || other.touches_border;
  }
};

constexpr bool is_foreground(uint8_t level) { return level > 128; }

// The first place from `x` on that is foreground or, as asked, is not. Eight pixels at once where all are black or all
// white, as nearly all of a mask are.
int64_t find_pixel(const uint8_t* row, int64_t x, int64_t width, bool foreground) {
  const uint64_t other = foreground ? 0 : ~uint64_t{0};
  for (; x < width; ++x) {
    uint64_t eight = ~other;
    if (x + 8 <= width) std::memcpy(&eight, row + x, 8);
    if (eight == other) {
      x += 7;
    } else if (is_foreground(row[x]) == foreground) {
      break;
    }
  }
  return x;
}

// Union-find over runs: one scan, several times faster than OpenCV's labelling, which would double what an image's
// simpler scores cost. He, Chao, Suzuki, A Run-Based Two-Scan Labeling Algorithm, IEEE TIP 2008.
class Regions {
 public:
  explicit Regions(const at::Tensor& mask_hw) : height_(mask_hw.size(0)), width_(mask_hw.size(1)) {
    const at::Tensor mask = mask_hw.contiguous();
    for (int64_t y = 0; y < height_; ++y) add_row(mask.const_data_ptr<uint8_t>() + y * width_, y);
  }

  std::vector<Region> merged() {
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (const auto root = root_of(i); root != i) regions_[root] += regions_[i];
    }
    std::vector<Region> roots;
    for (std::size_t i = 0; i < regions_.size(); ++i) {
      if (regions_[i].parent == i) roots.push_back(regions_[i]);
    }
    return roots;
  }

 private:
  void add_row(const uint8_t* row, int64_t y) {
    std::vector<Run> runs;
    auto above = above_.begin();
    for (int64_t x = find_pixel(row, 0, width_, true); x < width_; x = find_pixel(row, x, width_, true)) {
      const int64_t end = find_pixel(row, x, width_, false);
      Run run{x, end, regions_.size()};
      while (above != above_.end() && above->end < run.begin) ++above;
      for (auto touching = above; touching != above_.end() && touching->begin <= run.end; ++touching) {
        run.region = join(run.region, touching->region);
      }
      add(run, y);
      runs.push_back(run);
      x = end;
    }
    above_ = std::move(runs);
  }

  // @param a may be one that is not made yet
  std::size_t join(std::size_t a, std::size_t b) {
    b = root_of(b);
    if (a == regions_.size()) return b;
    a = root_of(a);
    regions_[std::max(a, b)].parent = std::min(a, b);
    return std::min(a, b);
  }

  std::size_t root_of(std::size_t i) {
    while (regions_[i].parent != i) i = regions_[i].parent = regions_[regions_[i].parent].parent;
    return i;
  }

  void add(const Run& run, int64_t y) {
    if (run.region == regions_.size()) regions_.push_back({.parent = run.region});
    const auto length = static_cast<double>(run.end - run.begin);
    const bool touches = y == 0 || y == height_ - 1 || run.begin == 0 || run.end == width_;
    regions_[run.region] += {.parent = 0,
                             .area = run.end - run.begin,
                             .x_sum = length * static_cast<double>(run.begin + run.end) / 2,
                             .y_sum = length * (static_cast<double>(y) + 0.5),
                             .touches_border = touches};
  }

  int64_t height_, width_;
  std::vector<Region> regions_;
  std::vector<Run> above_;
};

}  // namespace

ObjectLayout object_layout(const at::Tensor& mask_hw) {
  const auto regions = Regions(mask_hw).merged();
  int64_t area = 0, largest = 0;
  for (const Region& region : regions) {
    area += region.area;
    largest = std::max(largest, region.area);
  }
  const double least = std::min(least_object * static_cast<double>(area), static_cast<double>(largest));
  ObjectLayout layout;
  Region all{.parent = 0};
  for (const Region& region : regions) {
    if (static_cast<double>(region.area) < least) continue;
    ++layout.count;
    all += region;
  }
  if (layout.count == 0) return layout;
  layout.touches_border = all.touches_border;
  layout.centre_x = all.x_sum / static_cast<double>(all.area * mask_hw.size(1));
  layout.centre_y = all.y_sum / static_cast<double>(all.area * mask_hw.size(0));
  return layout;
}

}  // namespace codmoe::report
