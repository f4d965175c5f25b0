#include "synth_paste.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "cutout.h"
#include "mat.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

constexpr double kLeastArea = 16;  // pixels: below, a soft outline would leave nothing

fs::path draw_file(const fs::path& folder, Random& random) {
  const std::vector<fs::path> files = list_images(folder);
  if (files.empty()) throw core::Error(fmt::format("{}: has no images", folder.string()));
  return files[static_cast<std::size_t>(random.below(std::ssize(files)))];
}

/// A random square of it, at least 0.7 of the shorter side.
cv::Mat draw_background(const SynthOptions& options, Random& random) {
  const at::Tensor image = read_image(draw_file(options.backgrounds, random));
  const int64_t height = image.size(0), width = image.size(1), shorter = std::min(height, width);
  const auto side = std::max<int64_t>(1, std::llround(static_cast<double>(shorter) * random.uniform(0.7, 1)));
  const int64_t top = random.below(height - side + 1), left = random.below(width - side + 1);
  const at::Tensor square = image.slice(0, top, top + side).slice(1, left, left + side);
  const at::Tensor resized = resize(square, options.size, options.size, Interpolation::area);
  cv::Mat background;
  as_mat(resized).convertTo(background, CV_32F, 1.0 / 255);
  return background;
}

/// Scaled to `area` pixels where it then fits into the image.
Cutout draw_cutout(const SynthOptions& options, double area, double soften, Random& random) {
  const Cutout original = read_cutout(draw_file(options.cutouts, random));
  Pose pose{.margin = 1 + static_cast<int>(std::ceil(2 * soften))};
  pose.degrees = random.uniform(-20, 20);
  pose.mirrored = random.chance(0.5);
  const auto room = static_cast<double>(std::max<int64_t>(options.size - 2 * pose.margin - 2, 4));
  pose.scale = std::min(std::sqrt(std::max(area, kLeastArea) / original.area()),
                        room / std::hypot(original.alpha.cols, original.alpha.rows));
  Cutout cutout = transform(original, pose);
  if (soften > 0.3) cv::GaussianBlur(cutout.alpha, cutout.alpha, {}, soften);
  return cutout;
}

/// Of a few places, the one whose mean colour is nearest the object's.
cv::Rect draw_place(const Cutout& cutout, const cv::Mat& background, Random& random) {
  constexpr int kTries = 8;
  const cv::Scalar colour = cv::mean(cutout.rgb, cutout.alpha > 0.5);
  cv::Rect best;
  double least = 1e9;
  for (int i = 0; i < kTries; ++i) {
    const cv::Rect place(static_cast<int>(random.below(background.cols - cutout.alpha.cols + 1)),
                         static_cast<int>(random.below(background.rows - cutout.alpha.rows + 1)), cutout.alpha.cols,
                         cutout.alpha.rows);
    const double distance = cv::norm(cv::mean(background(place)) - colour);
    if (distance >= least) continue;
    least = distance;
    best = place;
  }
  return best;
}

void paste(const Cutout& cutout, const cv::Rect& place, cv::Mat& image, cv::Mat& mask) {
  cv::Mat part = image(place), spread, added;
  cv::merge(std::vector<cv::Mat>(3, cutout.alpha), spread);
  cv::multiply(cutout.rgb - part, spread, added);
  part += added;
  mask(place).setTo(255, cutout.alpha > 0.5);
}

}  // namespace

SynthSample paste_sample(const SynthOptions& options, Random& random) {
  cv::Mat image = draw_background(options, random);
  SynthSample sample{new_image(options.size, options.size, 3), at::zeros({options.size, options.size}, at::kByte)};
  cv::Mat mask = as_mat(sample.mask);
  int64_t count = 1;
  while (count < options.max_objects && random.chance(0.35)) ++count;
  const double coverage = random.uniform(options.min_coverage, options.max_coverage) / static_cast<double>(count);
  const double soften = options.soft_edge * static_cast<double>(options.size) / 2;
  for (int64_t i = 0; i < count; ++i) {
    Cutout cutout = draw_cutout(options, coverage * static_cast<double>(options.size * options.size), soften, random);
    const cv::Rect place = draw_place(cutout, image, random);
    match_surroundings(cutout, image(place), options.match);
    paste(cutout, place, image, mask);
  }
  cv::Mat bytes = as_mat(sample.image);
  image.convertTo(bytes, CV_8U, 255);
  return sample;
}

}  // namespace codmoe::data
