#include "codmoe/metrics/e_measure.h"

#include <limits>

namespace codmoe::metrics {
namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

// Of a pixel whose decision and truth lie so far from their means over the image.
double enhanced_alignment(double decision, double truth) {
  const double alignment = 2 * (decision * truth) / (decision * decision + truth * truth + eps);
  return (alignment + 1) * (alignment + 1) / 4;
}

double alignment_sum(const Confusion& c) {
  const auto size = static_cast<double>(c.total());
  if (c.tp + c.fn == 0) return static_cast<double>(c.tn + c.fn);
  if (c.tn + c.fp == 0) return static_cast<double>(c.tp + c.fp);
  const double decision = static_cast<double>(c.tp + c.fp) / size;
  const double truth = static_cast<double>(c.tp + c.fn) / size;
  return enhanced_alignment(1 - decision, 1 - truth) * static_cast<double>(c.tp) +
         enhanced_alignment(1 - decision, -truth) * static_cast<double>(c.fp) +
         enhanced_alignment(-decision, 1 - truth) * static_cast<double>(c.fn) +
         enhanced_alignment(-decision, -truth) * static_cast<double>(c.tn);
}

}  // namespace

double e_measure(const Confusion& c) { return alignment_sum(c) / (static_cast<double>(c.total()) - 1 + eps); }

}  // namespace codmoe::metrics
