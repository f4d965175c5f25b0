#include "codmoe/data/synth.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "codmoe/core/seed.h"
#include "codmoe/data/random.h"
#include "noise.h"
#include "synth_palette.h"
#include "synth_paste.h"
#include "synth_shape.h"
#include "synth_style.h"

namespace codmoe::data {
namespace {

constexpr float kPi = std::numbers::pi_v<float>;

/// What one image is made of: a pattern of brightness and one of tint, each for the background and for the object.
struct Recipe {
  Texture light;  // large-scale shade, common to both
  Texture pattern, tint;
  Texture object_pattern, object_tint;
};

Texture disguise(const Texture& background, float turn, float fineness, uint32_t seed) {
  Texture object = background;
  object.angle += turn;
  object.wavelength /= fineness;
  object.seed = seed;
  return object;
}

Recipe draw_recipe(int64_t size, const Style& style, Random& random) {
  const auto draw = [&](double low, double high) { return static_cast<float>(random.uniform(low, high)); };
  const auto seed = [&] { return static_cast<uint32_t>(random.bits()); };
  const auto side = static_cast<float>(size);
  Recipe recipe;
  recipe.light = {.wavelength = 0.6F * side, .octaves = 2, .seed = seed()};
  recipe.pattern = {.angle = draw(0, kPi),
                    .wavelength = side * draw(0.085, 0.11),
                    .stretch = draw(1.2, 2.2),
                    .bend = draw(0.1, 0.6),
                    .ridges = random.chance(0.4) ? draw(0.4, 1.0) : 0.0F,
                    .octaves = 4,
                    .gain = draw(0.45, 0.6),
                    .seed = seed()};
  recipe.tint = recipe.pattern;
  recipe.tint.wavelength *= 1.5F;
  recipe.tint.ridges = 0;
  recipe.tint.octaves = 3;
  recipe.tint.seed = seed();
  const float turn = draw(style.min_turn, style.max_turn) * kPi * (random.chance(0.5) ? 1.0F : -1.0F);
  const auto fineness = static_cast<float>(style.fineness);
  recipe.object_pattern = disguise(recipe.pattern, turn, fineness, seed());
  recipe.object_tint = disguise(recipe.tint, turn, fineness, seed());
  return recipe;
}

/// How much of the object shows at each pixel, 0 ... 1.
std::vector<float> blend_weights(const Shape& shape, float half_width) {
  std::vector<float> weights;
  weights.reserve(shape.distance.size());
  for (const float distance : shape.distance) {
    const float t = std::clamp(0.5F + distance / (2 * std::max(half_width, 1e-3F)), 0.0F, 1.0F);
    weights.push_back(t * t * (3 - 2 * t));
  }
  return weights;
}

/// The common shade plus a texture; its values at `pixels` are mapped to a standard normal distribution.
std::vector<float> paint(const Texture& texture, const std::vector<float>& shade, int64_t size,
                         const std::vector<int32_t>& pixels) {
  std::vector<float> field = shade;
  texture.add_to(field, size, pixels);
  normalise_by_rank(field, pixels);
  return field;
}

/// What an image's fields are painted over.
struct Canvas {
  int64_t size;
  std::vector<float> weights;              ///< how much of the object shows
  std::vector<float> shade, object_shade;  ///< light on the background and on the object
};

/// Background and object in one field. Weights of sine and cosine keep the variance across the outline, where a linear
/// blend would leave a smooth, pale seam.
std::vector<float> paint_both(const Texture& background, const Texture& object, const Canvas& canvas) {
  const std::vector<float>& weights = canvas.weights;
  std::vector<int32_t> outside, inside;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] < 1) outside.push_back(static_cast<int32_t>(i));
    if (weights[i] > 0) inside.push_back(static_cast<int32_t>(i));
  }
  std::vector<float> field = paint(background, canvas.shade, canvas.size, outside);
  const std::vector<float> painted = paint(object, canvas.object_shade, canvas.size, inside);
  for (const int32_t pixel : inside) {
    const auto i = static_cast<std::size_t>(pixel);
    field[i] = std::cos(weights[i] * kPi / 2) * field[i] + std::sin(weights[i] * kPi / 2) * painted[i];
  }
  return field;
}

std::vector<float> make_shade(const Texture& light, int64_t size) {
  std::vector<int32_t> everywhere(static_cast<std::size_t>(size * size));
  std::iota(everywhere.begin(), everywhere.end(), 0);
  std::vector<float> shade(everywhere.size());
  light.add_to(shade, size, everywhere);
  for (float& value : shade) value *= 0.5F;
  return shade;
}

/// A body's middle catches more light than its rim.
std::vector<float> raise_middle(std::vector<float> shade, const Shape& shape, double relief) {
  const float deepest = *std::max_element(shape.distance.begin(), shape.distance.end());
  for (std::size_t i = 0; i < shade.size(); ++i) {
    const float depth = std::clamp(shape.distance[i] / std::max(deepest, 1.0F), 0.0F, 1.0F);
    shade[i] += static_cast<float>(2 * relief) * std::sqrt(depth);
  }
  return shade;
}

Canvas make_canvas(const Texture& light, const Shape& shape, const Style& style, int64_t size) {
  Canvas canvas{.size = size,
                .weights = blend_weights(shape, static_cast<float>(style.soft_edge * static_cast<double>(size))),
                .shade = make_shade(light, size),
                .object_shade = {}};
  canvas.object_shade = style.relief > 0 ? raise_middle(canvas.shade, shape, style.relief) : canvas.shade;
  return canvas;
}

/// Pushes patches to the ends of the palette: many on the object, fewer around it, and some across the outline.
void add_blotches(std::vector<float>& pattern, const Canvas& canvas, Random& random) {
  constexpr float kOnObject = 0.15F, kAround = 0.55F, kRamp = 0.06F, kContrast = 2.0F;
  const Texture blotches{.angle = static_cast<float>(random.uniform(0, std::numbers::pi)),
                         .wavelength = static_cast<float>(canvas.size) * static_cast<float>(random.uniform(0.1, 0.14)),
                         .stretch = 1.5F,
                         .bend = 0.4F,
                         .octaves = 2,
                         .seed = static_cast<uint32_t>(random.bits())};
  std::vector<int32_t> everywhere(pattern.size());
  std::iota(everywhere.begin(), everywhere.end(), 0);
  std::vector<float> field(pattern.size());
  blotches.add_to(field, canvas.size, everywhere);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const float threshold = kAround + canvas.weights[i] * (kOnObject - kAround);
    const float strength = std::clamp((std::abs(field[i]) - threshold) / kRamp, 0.0F, 1.0F);
    const float bold = std::copysign(kContrast, field[i]) + 0.3F * pattern[i];
    pattern[i] += strength * (bold - pattern[i]);
  }
}

/// From standard normal to uniform in 0 ... 1.
float uniform_of(float score) { return 0.5F * std::erfc(-score / std::numbers::sqrt2_v<float>); }

at::Tensor colour(const std::vector<float>& pattern, const std::vector<float>& tint, int64_t size, Random& random) {
  const Palette palette(random);
  at::Tensor image = at::empty({size, size, 3}, at::kByte);
  auto* bytes = image.data_ptr<uint8_t>();
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const Rgb rgb = palette.colour(uniform_of(pattern[i]), uniform_of(tint[i]));
    const auto grain = static_cast<float>(random.uniform(-4, 4));  // a sensor's noise
    for (const float value : rgb) *bytes++ = static_cast<uint8_t>(std::clamp(value + grain + 0.5F, 0.0F, 255.0F));
  }
  return image;
}

at::Tensor mask_of(const Shape& shape, int64_t size) {
  at::Tensor mask = at::empty({size, size}, at::kByte);
  std::transform(shape.distance.begin(), shape.distance.end(), mask.data_ptr<uint8_t>(),
                 [](float distance) { return distance > 0 ? uint8_t{255} : uint8_t{0}; });
  return mask;
}

void check_kinds(const std::map<std::string, double>& kinds) {
  double all = 0;
  std::string known;
  for (const auto& [name, kind] : enum_names(SynthKind{})) known += (known.empty() ? "" : ", ") + std::string(name);
  for (const auto& [name, weight] : kinds) {
    if ((", " + known + ", ").find(", " + name + ", ") == std::string::npos) {
      throw core::BadOption("kinds", "must be of " + known + "; '" + name + "' is none");
    }
    all += weight;
  }
  if (!(all > 0)) throw core::BadOption("kinds", "must give one of " + known + " a weight above 0");
}

}  // namespace

void SynthOptions::check() const {
  if (max_coverage < min_coverage) throw core::BadOption("max_coverage", "must be at least min_coverage");
  if (held_out >= count) throw core::BadOption("held_out", "must be below count");
  if (cutouts.empty() != backgrounds.empty())
    throw core::BadOption("cutouts", "needs backgrounds too, and they need it");
  check_kinds(kinds);
}

SynthSample make_synth_sample(const SynthOptions& options, int64_t index) {
  Random random(core::mix_seed(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(index)));
  if (!options.cutouts.empty()) return paste_sample(options, random);
  const int64_t size = options.size;
  const Style style = style_of(options, draw_kind(options, index));
  const double coverage = random.uniform(style.min_coverage, style.max_coverage);
  const Shape shape = make_shape(size, coverage, style.objects, random);
  const Recipe recipe = draw_recipe(size, style, random);
  const Canvas canvas = make_canvas(recipe.light, shape, style, size);
  std::vector<float> pattern = paint_both(recipe.pattern, recipe.object_pattern, canvas);
  if (style.blotches) add_blotches(pattern, canvas, random);
  const std::vector<float> tint = paint_both(recipe.tint, recipe.object_tint, canvas);
  return {colour(pattern, tint, size, random), mask_of(shape, size)};
}

}  // namespace codmoe::data
