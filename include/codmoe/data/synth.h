// Synthetic camouflage: photographs whose object differs from its background in texture alone.
//
// Background and object are drawn from one random process (a few octaves of gradient noise, coloured by one palette);
// the object's is finer and turned. Both are ranked and mapped to one distribution of brightness and tint, so that no
// colour tells them apart: the best colour threshold finds about as much as painting the whole image. Kinds other than
// `texture` vary the cue that is left.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "codmoe/core/options.h"

namespace codmoe::data {

/// Kinds of camouflage. All but `texture` follow what biology calls them (Stevens & Merilaita, "Animal camouflage:
/// current issues and new perspectives", Phil. Trans. R. Soc. B, 2009).
enum class SynthKind {
  texture,              ///< the background's colours in a finer, turned texture
  background_matching,  ///< the background's texture too: its break at the outline and the body's shading remain
  disruptive,           ///< bold patches that run across the outline, with some like them around
  blurred_edge,         ///< an outline that fades into the background
  many,                 ///< many small objects
  tiny,                 ///< one very small object
};

constexpr auto enum_names(SynthKind) {
  return core::names<SynthKind>({{"texture", SynthKind::texture},
                                 {"background-matching", SynthKind::background_matching},
                                 {"disruptive", SynthKind::disruptive},
                                 {"blurred-edge", SynthKind::blurred_edge},
                                 {"many", SynthKind::many},
                                 {"tiny", SynthKind::tiny}});
}

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
  std::map<std::string, double> kinds{{"texture", 1.0}};  ///< names of SynthKind and their weights in the mix
  double blurred_edge = 0.03;                             ///< as soft_edge, of the kind blurred-edge
  int64_t many_objects = 12;                              ///< the most of the kind many, which has at least 4
  double tiny_coverage = 0.01;                            ///< the most of the kind tiny, whose least is a fifth of it
  /// Folders of cut-out objects (images with an alpha channel) and of backgrounds: both, and objects are pasted onto
  /// backgrounds in place of what is drawn; then `kinds` does not count.
  std::filesystem::path cutouts = {}, backgrounds = {};
  double match = 0.85;  ///< how far a pasted object takes its surroundings' colours and texture: 0 not at all, 1 all

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
    visit("kinds", kinds, core::at_least(0));
    visit("blurred_edge", blurred_edge, core::between(0, 0.1));
    visit("many_objects", many_objects, core::between(1, 100));
    visit("tiny_coverage", tiny_coverage, core::between(0.0005, 0.1));
    visit("cutouts", cutouts);
    visit("backgrounds", backgrounds);
    visit("match", match, core::between(0, 1));
  }
  /// @throws core::BadOption.
  void check() const;
};

/// One photograph and its mask.
struct SynthSample {
  at::Tensor image;  ///< uint8 [S, S, 3], RGB
  at::Tensor mask;   ///< uint8 [S, S], 0 or 255
};

/// Image `index` of a set: a pure function of the options (count and held_out aside), the index and, where objects are
/// pasted, the files.
/// @throws core::Error naming a file or folder of cut-outs or backgrounds that cannot be used.
SynthSample make_synth_sample(const SynthOptions& options, int64_t index);

/// Called from one thread at a time with the number of samples written so far.
using SynthProgress = std::function<void(int64_t written)>;

/// Writes `dir`/Imgs/synth_NNNNN.png and `dir`/GT/synth_NNNNN.png, and the lists where some are held out, on all cores.
/// @throws core::Error where a file cannot be written, or where the folders hold images of another set.
void write_synth(const std::filesystem::path& dir, const SynthOptions& options, const SynthProgress& progress = {});

}  // namespace codmoe::data
