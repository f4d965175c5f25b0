#pragma once

#include "codmoe/metrics/confusion.h"

namespace codmoe::metrics {

/// Enhanced-alignment measure of a binary decision, in [0, pixels / (pixels - 1)]. Every pixel of one of the four kinds
/// (tp, fp, tn, fn) has the same alignment, so the counts are enough. Divided by (pixels - 1 + eps), as in the authors'
/// code. Fan et al., Enhanced-alignment measure for binary foreground map evaluation, IJCAI 2018.
double e_measure(const Confusion& c);

}  // namespace codmoe::metrics
