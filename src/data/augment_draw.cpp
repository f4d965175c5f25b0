#include <algorithm>
#include <cmath>

#include "codmoe/data/augment.h"
#include "codmoe/data/random.h"

namespace codmoe::data {
namespace {

double draw_factor(Random& random, double spread) { return std::max(0.0, random.uniform(1.0 - spread, 1.0 + spread)); }

constexpr double kSmallestPaste = 0.5;
constexpr double kFarthestPaste = 0.25;

Pasting draw_pasting(const AugmentOptions& options, Random& random) {
  Pasting paste{};
  paste.donor = random.uniform();
  paste.flip = random.chance(options.flip);
  paste.angle = random.uniform(-options.rotate, options.rotate);
  paste.zoom = std::pow(kSmallestPaste, random.uniform());
  paste.right = random.uniform(-kFarthestPaste, kFarthestPaste);
  paste.down = random.uniform(-kFarthestPaste, kFarthestPaste);
  return paste;
}

/// Of the area drawn, whatever the aspect: what is too long for a side is wider instead.
Erasing draw_erasing(const AugmentOptions& options, Random& random) {
  const double area = random.uniform(options.erase_min, options.erase_max);
  const double aspect = std::pow(options.erase_aspect, random.uniform(-1, 1));
  const double height = std::clamp(std::sqrt(area * aspect), area, 1.0), width = height > 0 ? area / height : 0.0;
  const double left = random.uniform(0, 1 - width), top = random.uniform(0, 1 - height);
  return {left, top, width, height, options.erase_fill};
}

/// Later in the stream than geometry and colours, which so stay what they are, and all drawn always, so that none
/// depends on another's probability.
void draw_rest(const AugmentOptions& options, Random& random, Augmentation& drawn) {
  drawn.noise_seed = random.bits();
  const bool pastes = random.chance(options.paste), erases = random.chance(options.erase);
  const auto paste = draw_pasting(options, random);
  const auto erase = draw_erasing(options, random);
  if (pastes) drawn.paste = paste;
  if (erases) drawn.erase = erase;
  drawn.salt_pepper = options.salt_pepper;
}

}  // namespace

void AugmentOptions::check() const {
  if (erase_max < erase_min) throw core::BadOption("erase_max", "must be at least erase_min");
}

Augmentation draw_augmentation(const AugmentOptions& options, uint64_t seed) {
  Augmentation drawn{.binary_mask = options.mask == MaskValues::binary};
  if (!options.enabled) return drawn;
  Random random(seed);
  drawn.flip = random.chance(options.flip);
  drawn.angle = random.uniform(-options.rotate, options.rotate);
  drawn.zoom = std::pow(1 + options.scale, random.uniform(-1, 1));
  drawn.width = 1 - random.uniform(0, options.crop);
  drawn.height = 1 - random.uniform(0, options.crop);
  drawn.left = random.uniform(0, 1 - drawn.width);
  drawn.top = random.uniform(0, 1 - drawn.height);
  drawn.brightness = draw_factor(random, options.brightness);
  drawn.contrast = draw_factor(random, options.contrast);
  drawn.saturation = draw_factor(random, options.saturation);
  drawn.sharpness = draw_factor(random, options.sharpness);
  draw_rest(options, random, drawn);
  return drawn;
}

std::optional<int64_t> donor_of(const Augmentation& augmentation, int64_t index, int64_t samples) {
  if (!augmentation.paste) return std::nullopt;
  const auto step = 1 + static_cast<int64_t>(augmentation.paste->donor * static_cast<double>(samples - 1));
  return (index + step) % samples;
}

}  // namespace codmoe::data
