#include "codmoe/metrics/mae.h"

#include <cmath>

namespace codmoe::metrics {

double mean_absolute_error(const ImagePair& pair) {
  double sum = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    sum += static_cast<double>(pair.levels[0][k]) * pair.value[k];
    sum += static_cast<double>(pair.levels[1][k]) * std::abs(pair.value[k] - 1);
  }
  return sum / static_cast<double>(pair.size());
}

}  // namespace codmoe::metrics
