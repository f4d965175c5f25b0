#include "cutout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "codmoe/core/error.h"
#include "decode.h"

namespace codmoe::data {
namespace {

/// Divides by the blurred alpha, so that what does not show has no part in the mean.
cv::Mat masked_blur(const cv::Mat& image, const cv::Mat& alpha, double sigma) {
  cv::Mat sums, weights, product;
  std::vector<cv::Mat> planes(static_cast<std::size_t>(image.channels()), alpha);
  cv::Mat spread;
  cv::merge(planes, spread);
  cv::multiply(image, spread, product);
  cv::GaussianBlur(product, sums, {}, sigma);
  cv::GaussianBlur(spread, weights, {}, sigma);
  return sums / (weights + 1e-4);
}

cv::Mat multiply_by(const cv::Mat& rgb, const cv::Mat& alpha) {
  cv::Mat spread, product;
  cv::merge(std::vector<cv::Mat>(3, alpha), spread);
  cv::multiply(rgb, spread, product);
  return product;
}

/// Undoes multiply_by; the mean colour stands where alpha is 0.
cv::Mat divide_by(const cv::Mat& premultiplied, const cv::Mat& alpha) {
  const double area = cv::sum(alpha)[0];
  const cv::Scalar mean = cv::sum(premultiplied) / std::max(area, 1e-6);
  cv::Mat spread, rgb;
  cv::merge(std::vector<cv::Mat>(3, alpha), spread);
  cv::divide(premultiplied, cv::max(spread, 1e-3), rgb);
  rgb.setTo(mean, alpha < 1e-3);
  return rgb;
}

double deviation_of(const cv::Mat& plane, const cv::Mat& mask = {}) {
  cv::Scalar mean, deviation;
  cv::meanStdDev(plane, mean, deviation, mask);
  return deviation[0];
}

/// Each channel's mean and deviation, the latter changed by at most two.
void match_colours(cv::Mat& lab, const cv::Mat& shows, const cv::Mat& target, double strength) {
  cv::Scalar mean, deviation, wanted_mean, wanted_deviation;
  cv::meanStdDev(lab, mean, deviation, shows);
  cv::meanStdDev(target, wanted_mean, wanted_deviation);
  std::array<cv::Mat, 3> planes;
  cv::split(lab, planes.data());
  for (int c = 0; c < 3; ++c) {
    const double gain = std::clamp(wanted_deviation[c] / std::max(deviation[c], 1e-3), 0.5, 2.0);
    const double scale = 1 + strength * (gain - 1);
    const double centre = mean[c] + strength * (wanted_mean[c] - mean[c]);
    cv::Mat& plane = planes[static_cast<std::size_t>(c)];
    plane = (plane - mean[c]) * scale + centre;
  }
  cv::merge(planes.data(), 3, lab);
}

/// Each octave band's deviation, changed by at most five.
void match_bands(cv::Mat& plane, const cv::Mat& alpha, const cv::Mat& target, double strength) {
  constexpr double kMostGain = 5;
  const cv::Mat shows = alpha > 0.5;
  cv::Mat object = plane, surroundings = target, result = cv::Mat::zeros(plane.size(), CV_32F);
  for (const double sigma : {1.0, 2.0, 4.0}) {
    const cv::Mat smooth = masked_blur(plane, alpha, sigma);
    cv::Mat smooth_target;
    cv::GaussianBlur(target, smooth_target, {}, sigma);
    const cv::Mat band = object - smooth, band_target = surroundings - smooth_target;
    const double ratio = deviation_of(band_target) / std::max(deviation_of(band, shows), 1e-2);
    result += band * (1 + strength * (std::clamp(ratio, 1 / kMostGain, kMostGain) - 1));
    object = smooth;
    surroundings = smooth_target;
  }
  plane = result + object;
}

}  // namespace

Cutout read_cutout(const std::filesystem::path& path) {
  cv::Mat image = decode(path, cv::IMREAD_UNCHANGED);
  if (image.channels() != 4) throw core::Error(fmt::format("{}: a cut-out must have an alpha channel", path.string()));
  image.convertTo(image, CV_32F, image.depth() == CV_16U ? 1.0 / 65535 : 1.0 / 255);
  Cutout cutout;
  cv::extractChannel(image, cutout.alpha, 3);
  cv::cvtColor(image, cutout.rgb, cv::COLOR_BGRA2RGB);
  const cv::Rect visible = cv::boundingRect(cutout.alpha > 0.5);
  if (visible.empty()) throw core::Error(fmt::format("{}: is transparent everywhere", path.string()));
  return {cutout.rgb(visible).clone(), cutout.alpha(visible).clone()};
}

Cutout transform(const Cutout& cutout, const Pose& pose) {
  cv::Mat premultiplied = multiply_by(cutout.rgb, cutout.alpha), alpha = cutout.alpha;
  const auto scaled = [&](int side) { return std::max(1, static_cast<int>(std::lround(side * pose.scale))); };
  const cv::Size size(scaled(alpha.cols), scaled(alpha.rows));
  const int how = pose.scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR;
  cv::resize(premultiplied, premultiplied, size, 0, 0, how);
  cv::resize(cutout.alpha, alpha, size, 0, 0, how);
  const double angle = pose.degrees * CV_PI / 180, cosine = std::abs(std::cos(angle)), sine = std::abs(std::sin(angle));
  const cv::Size turned(static_cast<int>(std::ceil(size.width * cosine + size.height * sine)) + 2 * pose.margin,
                        static_cast<int>(std::ceil(size.width * sine + size.height * cosine)) + 2 * pose.margin);
  cv::Mat map = cv::getRotationMatrix2D({size.width / 2.0F, size.height / 2.0F}, pose.degrees, 1);
  map.at<double>(0, 2) += (turned.width - size.width) / 2.0;
  map.at<double>(1, 2) += (turned.height - size.height) / 2.0;
  cv::warpAffine(premultiplied, premultiplied, map, turned);
  cv::warpAffine(alpha, alpha, map, turned);
  if (pose.mirrored) {
    cv::flip(premultiplied, premultiplied, 1);
    cv::flip(alpha, alpha, 1);
  }
  return {divide_by(premultiplied, alpha), alpha};
}

void match_surroundings(Cutout& cutout, const cv::Mat& surroundings, double strength) {
  const cv::Mat shows = cutout.alpha > 0.5;
  if (cv::countNonZero(shows) == 0) return;
  cv::Mat lab, target;
  cv::cvtColor(cutout.rgb, lab, cv::COLOR_RGB2Lab);
  cv::cvtColor(surroundings, target, cv::COLOR_RGB2Lab);
  match_colours(lab, shows, target, strength);
  for (int c = 0; c < 3; ++c) {
    cv::Mat plane, plane_target;
    cv::extractChannel(lab, plane, c);
    cv::extractChannel(target, plane_target, c);
    match_bands(plane, cutout.alpha, plane_target, strength);
    cv::insertChannel(plane, lab, c);
  }
  cv::cvtColor(lab, cutout.rgb, cv::COLOR_Lab2RGB);
}

}  // namespace codmoe::data
