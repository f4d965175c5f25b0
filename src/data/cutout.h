// Objects with soft outlines.
#pragma once

#include <filesystem>
#include <opencv2/core.hpp>

namespace codmoe::data {

/// An object; float in [0, 1]. Colours are defined everywhere, also where alpha is 0.
struct Cutout {
  cv::Mat rgb;    ///< CV_32FC3
  cv::Mat alpha;  ///< CV_32FC1

  /// Pixels that the object covers.
  double area() const { return cv::sum(alpha)[0]; }
};

/// Reads an image with an alpha channel, and crops it to what shows.
/// @throws core::Error naming a file that cannot be read, has no alpha channel or shows nothing.
Cutout read_cutout(const std::filesystem::path& path);

/// How an object is placed.
struct Pose {
  double scale = 1;
  double degrees = 0;     ///< anticlockwise
  bool mirrored = false;  ///< after the turn
  int margin = 1;         ///< transparent pixels around it
};

Cutout transform(const Cutout& cutout, const Pose& pose);

/// Gives the object its surroundings' colours (mean and deviation of each channel of CIE Lab: Reinhard et al., "Color
/// transfer between images", 2001) and their texture (deviation of three octave bands of each).
/// @param surroundings  RGB like cutout.rgb, of the same size
/// @param strength  0 ... 1
void match_surroundings(Cutout& cutout, const cv::Mat& surroundings, double strength);

}  // namespace codmoe::data
