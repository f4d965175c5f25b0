// Cut-out objects pasted onto photographs.
#pragma once

#include "codmoe/data/random.h"
#include "codmoe/data/synth.h"

namespace codmoe::data {

/// A square of a random background of `options.backgrounds` with objects of `options.cutouts`, turned, mirrored and
/// scaled to the coverage that the options ask for, where they stand out least of a few places.
/// @throws core::Error naming the folder without images, the file that cannot be read or a cut-out without alpha.
SynthSample paste_sample(const SynthOptions& options, Random& random);

}  // namespace codmoe::data
