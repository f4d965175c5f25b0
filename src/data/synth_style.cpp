#include "synth_style.h"

#include <algorithm>

#include "codmoe/core/seed.h"

namespace codmoe::data {

Style style_of(const SynthOptions& options, SynthKind kind) {
  Style style{.objects = {.max_count = options.max_objects},
              .min_coverage = options.min_coverage,
              .max_coverage = options.max_coverage,
              .min_turn = 0.3,
              .max_turn = 0.5,
              .fineness = options.fineness,
              .soft_edge = options.soft_edge};
  switch (kind) {
    case SynthKind::texture:
      break;
    case SynthKind::background_matching:  // what is left is the break at the outline, and a body's shading
      style.min_turn = 0;
      style.max_turn = 0.1;
      style.fineness = 1;
      style.relief = 0.7;
      break;
    case SynthKind::disruptive:
      style.blotches = true;
      break;
    case SynthKind::blurred_edge:
      style.soft_edge = options.blurred_edge;
      break;
    case SynthKind::many:
      style.objects = {.min_count = std::min<int64_t>(4, options.many_objects),
                       .max_count = options.many_objects,
                       .scattered = true};
      break;
    case SynthKind::tiny:
      style.objects = {.max_count = 1, .axes = 0.3F};
      style.min_coverage = options.tiny_coverage / 5;
      style.max_coverage = options.tiny_coverage;
      style.soft_edge = std::min(options.soft_edge, 0.004);
      break;
  }
  return style;
}

SynthKind draw_kind(const SynthOptions& options, int64_t index) {
  Random random(core::mix_seed(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(index), 1));
  double all = 0;
  for (const auto& [name, weight] : options.kinds) all += weight;
  double place = random.uniform() * all;
  SynthKind drawn = SynthKind::texture;
  for (const auto& [name, kind] : enum_names(SynthKind{})) {
    const auto weight = options.kinds.find(std::string(name));
    if (weight == options.kinds.end() || weight->second == 0) continue;
    drawn = kind;
    if ((place -= weight->second) < 0) break;
  }
  return drawn;
}

}  // namespace codmoe::data
