// Gradient noise (Perlin, "Improving noise", 2002) on a hashed lattice, in plain C++ so that it is the same everywhere.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace codmoe::data {

/// Smooth noise of mean 0 within about [-1, 1]; lattice points are at whole numbers. Remembers the last lattice cell,
/// which most neighbouring pixels share.
class GradientNoise {
 public:
  explicit GradientNoise(uint32_t seed) : seed_(seed) { enter(0, 0); }
  float at(float x, float y);

 private:
  void enter(int32_t column, int32_t row);

  uint32_t seed_;
  int32_t column_ = 0, row_ = 0;
  std::array<float, 4> gradient_x_{}, gradient_y_{};  // at the cell's corners, row by row
};

/// A field of several octaves, seen through an anisotropic, bent coordinate frame.
struct Texture {
  float angle = 0.0F;        ///< direction of the long axis, radians
  float wavelength = 24.0F;  ///< of the lowest octave across the long axis, pixels
  float stretch = 1.0F;      ///< wavelength along the long axis over that across it
  float bend = 0.0F;         ///< how far the coordinates are displaced, in wavelengths
  float ridges = 0.0F;       ///< 0: smooth hills; 1: sharp veins
  int octaves = 4;
  float gain = 0.55F;  ///< amplitude of an octave over that of the one below
  uint32_t seed = 0;

  /// Adds the field's value at the given pixels (row * size + column) to `field`.
  void add_to(std::vector<float>& field, int64_t size, const std::vector<int32_t>& pixels) const;
};

/// Ranks the values at `pixels` and replaces them by standard normal scores, so that every field has one histogram.
void normalise_by_rank(std::vector<float>& field, const std::vector<int32_t>& pixels);

}  // namespace codmoe::data
