#include "codmoe/metrics/binary_measures.h"

namespace codmoe::metrics {
namespace {

double quotient(double numerator, double denominator) { return denominator == 0 ? 0 : numerator / denominator; }

double quotient(int64_t numerator, int64_t denominator) {
  return quotient(static_cast<double>(numerator), static_cast<double>(denominator));
}

double product(int64_t a, int64_t b) { return static_cast<double>(a) * static_cast<double>(b); }

}  // namespace

double precision(const Confusion& c) { return quotient(c.tp, c.tp + c.fp); }

double recall(const Confusion& c) { return quotient(c.tp, c.tp + c.fn); }

double specificity(const Confusion& c) { return quotient(c.tn, c.tn + c.fp); }

double false_positive_rate(const Confusion& c) { return quotient(c.fp, c.tn + c.fp); }

double iou(const Confusion& c) { return quotient(c.tp, c.tp + c.fp + c.fn); }

double dice(const Confusion& c) { return quotient(2 * c.tp, 2 * c.tp + c.fp + c.fn); }

double overall_accuracy(const Confusion& c) { return quotient(c.tp + c.tn, c.total()); }

double balanced_error_rate(const Confusion& c) { return 1 - 0.5 * (recall(c) + specificity(c)); }

double kappa(const Confusion& c) {
  const double chance =
      quotient(product(c.tp + c.fp, c.tp + c.fn) + product(c.tn + c.fn, c.tn + c.tp), product(c.total(), c.total()));
  return quotient(overall_accuracy(c) - chance, 1 - chance);
}

double f_measure(const Confusion& c, double beta_squared) {
  const double p = precision(c);
  const double r = recall(c);
  return quotient((beta_squared + 1) * p * r, beta_squared * p + r);
}

}  // namespace codmoe::metrics
