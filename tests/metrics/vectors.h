// The images of make_pysodmetrics_vectors.py, made alike here so that only their scores are kept in a file.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace codmoe::metrics {

struct VectorCase {
  std::string mask;
  std::string pred;
  int64_t height = 0;
  int64_t width = 0;
  uint64_t seed = 0;
};

struct PredMask {
  at::Tensor pred_hw;
  at::Tensor mask_hw;
};

/// Knuth's MMIX generator; the upper bits of its state.
class VectorRandom {
 public:
  explicit VectorRandom(uint64_t seed) : state_(seed) {}
  int64_t below(uint64_t n) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int64_t>((state_ >> 33) % n);
  }

 private:
  uint64_t state_;
};

inline int64_t square(int64_t x) { return x * x; }

inline PredMask make_vector(const VectorCase& the_case) {
  const int64_t h = the_case.height;
  const int64_t w = the_case.width;
  VectorRandom random(the_case.seed);
  int64_t i = 0;
  int64_t j = 0;
  int64_t mask = 0;
  const auto inside = [&] { return square(2 * i - h) * 9 + square(2 * j - w) * 4 < square(h + w); };
  using Pixel = std::function<int64_t()>;
  const std::map<std::string, Pixel> masks{
      {"empty", [&] { return 0; }},
      {"full", [&] { return 255; }},
      {"pixel", [&] { return 255 * (i == h / 3 && j == w / 2); }},
      {"first_pixel", [&] { return 255 * (i == 0 && j == 0); }},
      {"last_pixel", [&] { return 255 * (i == h - 1 && j == w - 1); }},
      {"last_column", [&] { return 255 * (j == w - 1); }},
      {"ellipse", [&] { return 255 * inside(); }},
      {"hole", [&] { return 255 * !inside(); }},
      {"noise", [&] { return 255 * (random.below(2) == 0); }},
      {"sparse", [&] { return 255 * (random.below(40) == 0); }},
      {"grid", [&] { return 255 * (i % 8 == 2 && j % 6 == 1); }},
      {"columns", [&] { return 255 * (j % 10 == 4); }},
      {"rows", [&] { return 255 * (i % 7 == 3); }},
      {"grey", [&] { return 118 + random.below(20); }},
  };
  const std::map<std::string, Pixel> preds{
      {"zero", [&] { return 0; }},
      {"one", [&] { return 1; }},
      {"constant77", [&] { return 77; }},
      {"constant200", [&] { return 200; }},
      {"white", [&] { return 255; }},
      {"noise", [&] { return random.below(256); }},
      {"dim", [&] { return 90 + random.below(7); }},
      {"binary", [&] { return 255 * random.below(2); }},
      {"three", [&] { return 127 * random.below(3); }},
      {"pixel", [&] { return 255 * (i == h / 2 && j == w / 4); }},
      {"mask", [&] { return mask; }},
      {"inverse", [&] { return 255 - mask; }},
      {"halves", [&] { return j * 2 < w ? 40 : 220; }},
      {"quarters", [&] { return j * 2 < w ? (i * 2 < h ? 0 : 60) : (i * 2 < h ? 150 : 250); }},
      {"shifted", [&] { return 30 + 190 * (square(2 * i - h - 3) * 9 + square(2 * j - w + 4) * 4 < square(h + w)); }},
      {"soft", [&] { return 255 * h * w / (h * w + square(2 * i - h) * 2 + square(2 * j - w) * 3); }},
      {"good", [&] { return mask * 3 / 4 + random.below(64); }},
  };
  PredMask pair{at::empty({h, w}, at::kByte), at::empty({h, w}, at::kByte)};
  auto masked = pair.mask_hw.accessor<uint8_t, 2>();
  auto predicted = pair.pred_hw.accessor<uint8_t, 2>();
  const Pixel& mask_pixel = masks.at(the_case.mask);
  const Pixel& pred_pixel = preds.at(the_case.pred);
  for (i = 0; i < h; ++i) {
    for (j = 0; j < w; ++j) masked[i][j] = static_cast<uint8_t>(mask_pixel());
  }
  for (i = 0; i < h; ++i) {
    for (j = 0; j < w; ++j) {
      mask = masked[i][j];
      predicted[i][j] = static_cast<uint8_t>(pred_pixel());
    }
  }
  return pair;
}

}  // namespace codmoe::metrics
