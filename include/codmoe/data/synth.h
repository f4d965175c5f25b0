// Synthetic camouflage: photographs whose object differs from its background in texture alone.
//
// Background and object are drawn from one random process (a few octaves of gradient noise, coloured by one palette);
// the object's is finer and turned. Both are ranked and mapped to one distribution of brightness and tint, so that no
// colour tells them apart: the best colour threshold finds about as much as painting the whole image.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>

#include "codmoe/core/options.h"

namespace codmoe::data {

/// What a set is made of.
struct SynthOptions {
  int64_t count = 240;
  int64_t size = 256;  ///< side of the square images, pixels
  int64_t seed = 0;
  int64_t held_out = 0;        ///< the last so many go to val.txt, the others to train.txt; 0: no lists
  double min_coverage = 0.03;  ///< of the image by all its objects
  double max_coverage = 0.25;
  int64_t max_objects = 3;
  double fineness = 2.0;     ///< wavelength of the background's texture over that of the object's
  double soft_edge = 0.008;  ///< half the width of the blend across the outline, in image sides

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("count", count, core::between(1, 1e6));
    visit("size", size, core::between(32, 8192));
    visit("seed", seed, core::at_least(0));
    visit("held_out", held_out, core::at_least(0));
    visit("min_coverage", min_coverage, core::between(0.001, 0.9));
    visit("max_coverage", max_coverage, core::between(0.001, 0.9));
    visit("max_objects", max_objects, core::between(1, 100));
    visit("fineness", fineness, core::between(1, 8));
    visit("soft_edge", soft_edge, core::between(0, 0.1));
  }
  /// @throws core::BadOption.
  void check() const;
};

/// One photograph and its mask.
struct SynthSample {
  at::Tensor image;  ///< uint8 [S, S, 3], RGB
  at::Tensor mask;   ///< uint8 [S, S], 0 or 255
};

/// Image `index` of a set: a pure function of the options (count and held_out aside) and the index.
SynthSample make_synth_sample(const SynthOptions& options, int64_t index);

/// Called from one thread at a time with the number of samples written so far.
using SynthProgress = std::function<void(int64_t written)>;

/// Writes `dir`/Imgs/synth_NNNNN.png and `dir`/GT/synth_NNNNN.png, and the lists where some are held out, on all cores.
/// @throws core::Error where a file cannot be written, or where the folders hold images of another set.
void write_synth(const std::filesystem::path& dir, const SynthOptions& options, const SynthProgress& progress = {});

}  // namespace codmoe::data
