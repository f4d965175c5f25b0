// Measures of a binary decision, each in [0, 1] (kappa in [-1, 1]). A quotient whose denominator is 0 counts as 0, as
// in PySODMetrics 1.6.2, whose definitions these are.
#pragma once

#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {

double precision(const Confusion& c);
double recall(const Confusion& c);
double specificity(const Confusion& c);
double false_positive_rate(const Confusion& c);
double iou(const Confusion& c);
double dice(const Confusion& c);
double overall_accuracy(const Confusion& c);
/// 1 - (recall + specificity) / 2.
double balanced_error_rate(const Confusion& c);
/// Cohen's kappa: agreement beyond chance.
double kappa(const Confusion& c);
/// (1 + b) P R / (b P + R) with b = beta squared. Achanta et al., Frequency-tuned salient region detection, CVPR 2009.
double f_measure(const Confusion& c, double beta_squared);

}  // namespace codmoe::metrics
