// What tells the kinds of synthetic camouflage apart.
#pragma once

#include "codmoe/data/random.h"
#include "codmoe/data/synth.h"
#include "synth_shape.h"

namespace codmoe::data {

/// One kind's way to draw an image. The texture of SynthOptions is the one that others differ from.
struct Style {
  ObjectPlan objects;
  double min_coverage, max_coverage;  ///< of the image by all its objects
  double min_turn, max_turn;          ///< of the object's texture against the background's, half turns
  double fineness;                    ///< wavelength of the background's texture over that of the object's
  double soft_edge;                   ///< half the width of the blend across the outline, in image sides
  double relief = 0;                  ///< how much lighter the body's middle is than its rim, standard deviations
  bool blotches = false;              ///< bold patches that run across the outline
};

Style style_of(const SynthOptions& options, SynthKind kind);

/// The kind of image `index`; from a stream of its own, so that the mix does not change the images of a kind.
SynthKind draw_kind(const SynthOptions& options, int64_t index);

}  // namespace codmoe::data
