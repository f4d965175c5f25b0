#include "codmoe/experts/description.h"

namespace codmoe::experts {

namespace {

int64_t weight_count(const nn::ConvShape& shape) {
  return shape.out * (shape.in / shape.groups) * shape.kernel * shape.kernel;
}

}  // namespace

int64_t ExpertDescription::flops(int64_t positions) const {
  int64_t total = attention_heads == 0 ? 0 : 2 * 2 * attention_heads * convs.front().shape.in * positions;
  for (const auto& conv : convs)
    total += 2 * weight_count(conv.shape) * (conv.source == Source::pooled ? 1 : positions);
  return total;
}

int64_t ExpertDescription::parameters() const {
  int64_t total = 0;
  for (const auto& conv : convs) total += weight_count(conv.shape) + (conv.bias ? conv.shape.out : 0);
  return total;
}

}  // namespace codmoe::experts
