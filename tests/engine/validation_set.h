// Photographs of different sizes with masks, and their scores at the network's size by the plain way.
#pragma once

#include <ATen/ATen.h>

#include <array>
#include <filesystem>
#include <string>

#include "codmoe/data/dataset.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/engine/selection.h"
#include "codmoe/metrics/registry.h"

namespace codmoe::engine::testing {

/// Blobs of noise; masks are ellipses, one is empty.
inline std::filesystem::path validation_set(const std::filesystem::path& folder) {
  constexpr std::array<std::array<int64_t, 2>, 5> sizes{{{96, 80}, {70, 100}, {64, 64}, {230, 130}, {40, 60}}};
  std::filesystem::create_directories(folder / "Imgs");
  std::filesystem::create_directories(folder / "GT");
  at::manual_seed(6);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [height, width] = sizes[i];
    const auto coarse = at::randint(256, {height / 8, width / 8, 3}, at::kByte);
    const auto y = at::linspace(-1, 1, height).view({-1, 1}), x = at::linspace(-1, 1, width);
    const double radius = i == 2 ? 0.0 : 0.2 + 0.1 * static_cast<double>(i);
    const auto mask = ((y - 0.2).square() + 2 * (x + 0.1).square() < radius).to(at::kByte) * 255;
    const auto name = std::to_string(i) + ".png";
    data::write_png(folder / "Imgs" / name, data::resize(coarse, height, width, data::Interpolation::bilinear));
    data::write_png(folder / "GT" / name, mask);
  }
  return folder;
}

/// The predictor's maps of `size` pixels, in batches of so many (the last bits hang on them), by score_image against
/// the masks of that size.
inline metrics::Summary plain_scores(Predictor& predictor, const std::filesystem::path& folder, int64_t size,
                                     int64_t batch_size) {
  const data::Dataset dataset({folder, {}});
  metrics::ScoreAccumulator scores;
  for (int64_t first = 0; first < dataset.size(); first += batch_size) {
    const auto end = std::min(dataset.size(), first + batch_size);
    std::vector<PredictorInput> inputs;
    for (auto i = first; i < end; ++i) {
      inputs.push_back(predictor.prepare(data::read_image(dataset.item(i))));
      inputs.back().height = inputs.back().width = size;
    }
    const auto maps = predictor.predict(inputs).maps();
    for (auto i = first; i < end; ++i) {
      const auto mask = data::resize(data::read_mask(dataset.item(i)), size, size, data::Interpolation::area);
      scores.add(metrics::score_image(maps[static_cast<std::size_t>(i - first)], mask));
    }
  }
  return scores.summary();
}

}  // namespace codmoe::engine::testing
