#include "codmoe/data/contact_sheet.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "codmoe/core/parallel.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/samples.h"

namespace codmoe::data {
namespace {

constexpr int64_t kGap = 4;  // pixels

/// What the mask leaves out at a fifth of its brightness.
at::Tensor dimmed(const at::Tensor& image, const at::Tensor& mask) {
  const at::Tensor weight = (mask.to(at::kFloat) / 255).unsqueeze(2) * 0.8 + 0.2;
  return at::round(image.to(at::kFloat) * weight).to(at::kByte);
}

/// Shrunk or grown so that the longer side is `cell`.
at::Tensor fit(const at::Tensor& image, int64_t cell) {
  const auto longest = static_cast<double>(std::max(image.size(0), image.size(1)));
  const auto side = [&](int64_t length) {
    return std::max<int64_t>(1, std::llround(static_cast<double>(length * cell) / longest));
  };
  return resize(image, side(image.size(0)), side(image.size(1)), Interpolation::area);
}

void draw_sample(const Item& item, int64_t top, int64_t left, int64_t cell, at::Tensor& sheet) {
  const auto [image, mask] = read_sample(item);
  int64_t at = left;
  for (const at::Tensor& picture : {fit(image, cell), fit(dimmed(image, mask), cell)}) {
    sheet.narrow(0, top, picture.size(0)).narrow(1, at, picture.size(1)).copy_(picture);
    at += cell + kGap / 2;
  }
}

}  // namespace

at::Tensor contact_sheet(const Dataset& dataset, const ContactSheetOptions& options) {
  const int64_t shown = std::min(options.samples, dataset.size());
  const int64_t columns = std::min(options.columns, shown), rows = (shown + columns - 1) / columns;
  const int64_t width = 2 * options.cell + kGap / 2 + kGap, height = options.cell + kGap;
  at::Tensor sheet = at::full({rows * height + kGap, columns * width + kGap, 3}, 255, at::kByte);
  core::parallel_for(shown, /*threads=*/0, [&](int64_t i) {
    const Item& item = dataset.item(i * dataset.size() / shown);
    draw_sample(item, kGap + i / columns * height, kGap + i % columns * width, options.cell, sheet);
  });
  return sheet;
}

}  // namespace codmoe::data
