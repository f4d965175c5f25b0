#include "codmoe/data/augmented_sheet.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <opencv2/imgproc.hpp>
#include <optional>

#include "codmoe/core/parallel.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/samples.h"
#include "mat.h"
#include "order.h"

namespace codmoe::data {
namespace {

constexpr int64_t kMargin = 4;  // pixels

/// The photograph at the cell's size; one pixel on each side of the mask's edge in magenta, which no camouflage has.
at::Tensor outlined(const Sample& sample, int64_t cell) {
  at::Tensor picture = resize(sample.image, cell, cell, Interpolation::area);
  const at::Tensor mask = resize(sample.mask, cell, cell, Interpolation::area);
  cv::Mat object, edge;
  cv::threshold(as_mat(mask), object, 127, 255, cv::THRESH_BINARY);
  cv::morphologyEx(object, edge, cv::MORPH_GRADIENT, cv::getStructuringElement(cv::MORPH_RECT, {3, 3}));
  as_mat(picture).setTo(cv::Scalar(255, 0, 255), edge);
  return picture;
}

/// Column 0 is the sample as it is, column n epoch n - 1.
Sample make_cell(const Dataset& dataset, const AugmentOptions& augment, const AugmentedSheetOptions& options,
                 int64_t index, int64_t column) {
  const auto read = [&](int64_t i) { return reduce(read_sample(dataset.item(i)), options.size); };
  const Sample sample = read(index);
  if (column == 0) return apply_augmentation(sample, options.size, {});
  const Augmentation drawn = augmentation_of(augment, options.seed, column - 1, index);
  const auto donor_index = donor_of(drawn, index, dataset.size());
  const auto donor = donor_index ? std::optional(read(*donor_index)) : std::nullopt;
  return apply_augmentation(sample, options.size, drawn, donor ? &*donor : nullptr);
}

}  // namespace

at::Tensor augmented_sheet(const Dataset& dataset, const AugmentOptions& augment,
                           const AugmentedSheetOptions& options) {
  const int64_t rows = std::min(options.samples, dataset.size()), columns = options.epochs + 1;
  const int64_t step = options.cell + kMargin;
  at::Tensor sheet = at::full({rows * step + kMargin, columns * step + kMargin, 3}, 255, at::kByte);
  core::parallel_for(rows * columns, /*threads=*/0, [&](int64_t i) {
    const int64_t row = i / columns, column = i % columns;
    const Sample sample = make_cell(dataset, augment, options, row * dataset.size() / rows, column);
    sheet.narrow(0, kMargin + row * step, options.cell)
        .narrow(1, kMargin + column * step, options.cell)
        .copy_(outlined(sample, options.cell));
  });
  return sheet;
}

}  // namespace codmoe::data
