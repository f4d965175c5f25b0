#include "codmoe/data/synth.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <vector>

#include "codmoe/core/seed.h"
#include "codmoe/data/random.h"
#include "noise.h"
#include "synth_palette.h"
#include "synth_shape.h"

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

Recipe draw_recipe(const SynthOptions& options, Random& random) {
  const auto draw = [&](double low, double high) { return static_cast<float>(random.uniform(low, high)); };
  const auto seed = [&] { return static_cast<uint32_t>(random.bits()); };
  const auto side = static_cast<float>(options.size);
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
  const float turn = draw(0.3, 0.5) * kPi * (random.chance(0.5) ? 1.0F : -1.0F);
  const auto fineness = static_cast<float>(options.fineness);
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

/// Background and object in one field. Weights of sine and cosine keep the variance across the outline, where a linear
/// blend would leave a smooth, pale seam.
std::vector<float> paint_both(const Texture& background, const Texture& object, const std::vector<float>& shade,
                              const std::vector<float>& weights, int64_t size) {
  std::vector<int32_t> outside, inside;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] < 1) outside.push_back(static_cast<int32_t>(i));
    if (weights[i] > 0) inside.push_back(static_cast<int32_t>(i));
  }
  std::vector<float> field = paint(background, shade, size, outside);
  const std::vector<float> painted = paint(object, shade, size, inside);
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

}  // namespace

void SynthOptions::check() const {
  if (max_coverage < min_coverage) throw core::BadOption("max_coverage", "must be at least min_coverage");
  if (held_out >= count) throw core::BadOption("held_out", "must be below count");
}

SynthSample make_synth_sample(const SynthOptions& options, int64_t index) {
  Random random(core::mix_seed(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(index)));
  const int64_t size = options.size;
  const double coverage = random.uniform(options.min_coverage, options.max_coverage);
  const Shape shape = make_shape(size, coverage, options.max_objects, random);
  const Recipe recipe = draw_recipe(options, random);
  const std::vector<float> weights =
      blend_weights(shape, static_cast<float>(options.soft_edge * static_cast<double>(size)));
  const std::vector<float> shade = make_shade(recipe.light, size);
  const std::vector<float> pattern = paint_both(recipe.pattern, recipe.object_pattern, shade, weights, size);
  const std::vector<float> tint = paint_both(recipe.tint, recipe.object_tint, shade, weights, size);
  return {colour(pattern, tint, size, random), mask_of(shape, size)};
}

}  // namespace codmoe::data
