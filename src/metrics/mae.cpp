#include "codmoe/metrics/mae.h"

#include <cmath>

namespace codmoe::metrics {

double absolute_error(const GreyHistogram& grey) {
  double sum = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    sum += static_cast<double>(grey.levels[0][k]) * grey.value[k];
    sum += static_cast<double>(grey.levels[1][k]) * std::abs(grey.value[k] - 1);
  }
  return sum;
}

double mean_absolute_error(const ImagePair& pair) { return absolute_error(pair) / static_cast<double>(pair.size()); }

}  // namespace codmoe::metrics
