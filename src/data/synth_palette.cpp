#include "synth_palette.h"

#include <algorithm>

namespace codmoe::data {
namespace {

using Gradient = std::array<Rgb, 4>;

constexpr std::array<std::array<Gradient, 2>, 8> kPlaces{{
    // forest floor: moss, bark
    {{{{{28, 34, 20}, {62, 74, 38}, {104, 112, 62}, {158, 156, 104}}},
      {{{36, 28, 20}, {82, 64, 44}, {128, 104, 76}, {176, 154, 122}}}}},
    // dunes
    {{{{{96, 78, 58}, {150, 126, 96}, {190, 168, 132}, {222, 206, 176}}},
      {{{84, 74, 66}, {132, 118, 104}, {170, 156, 138}, {206, 196, 182}}}}},
    // rock
    {{{{{40, 42, 44}, {84, 86, 86}, {128, 128, 124}, {178, 176, 170}}},
      {{{52, 46, 40}, {96, 86, 74}, {140, 128, 110}, {184, 174, 152}}}}},
    // seabed
    {{{{{24, 44, 52}, {52, 86, 92}, {96, 128, 124}, {158, 176, 160}}},
      {{{46, 50, 46}, {92, 92, 78}, {138, 132, 108}, {186, 176, 150}}}}},
    // autumn leaves
    {{{{{46, 28, 18}, {104, 62, 34}, {156, 104, 56}, {200, 158, 104}}},
      {{{40, 38, 22}, {86, 80, 44}, {132, 120, 72}, {182, 168, 118}}}}},
    // bark with lichen
    {{{{{34, 30, 28}, {76, 66, 58}, {118, 106, 94}, {168, 156, 142}}},
      {{{40, 44, 36}, {80, 86, 70}, {120, 126, 106}, {166, 170, 150}}}}},
    // snow
    {{{{{110, 116, 122}, {160, 166, 172}, {200, 204, 206}, {236, 236, 234}}},
      {{{104, 100, 96}, {150, 146, 142}, {190, 188, 184}, {226, 222, 216}}}}},
    // reef
    {{{{{44, 34, 48}, {96, 72, 86}, {150, 118, 116}, {200, 172, 152}}},
      {{{30, 46, 56}, {66, 90, 98}, {114, 138, 136}, {176, 190, 176}}}}},
}};

Rgb mix(const Rgb& a, const Rgb& b, float weight) {
  return {a[0] + weight * (b[0] - a[0]), a[1] + weight * (b[1] - a[1]), a[2] + weight * (b[2] - a[2])};
}

Rgb along(const Gradient& gradient, float place) {
  const float scaled = std::clamp(place, 0.0F, 1.0F) * static_cast<float>(gradient.size() - 1);
  const auto step = std::min(static_cast<std::size_t>(scaled), gradient.size() - 2);
  return mix(gradient[step], gradient[step + 1], scaled - static_cast<float>(step));
}

}  // namespace

Palette::Palette(Random& random) : gradients_(kPlaces[static_cast<std::size_t>(random.below(kPlaces.size()))]) {
  const double light = random.uniform(0.85, 1.1);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const auto gain = static_cast<float>(light * random.uniform(0.93, 1.07));
    for (Gradient& gradient : gradients_) {
      for (Rgb& stop : gradient) stop[channel] *= gain;
    }
  }
}

Rgb Palette::colour(float brightness, float tint) const {
  return mix(along(gradients_[0], brightness), along(gradients_[1], brightness), std::clamp(tint, 0.0F, 1.0F));
}

}  // namespace codmoe::data
