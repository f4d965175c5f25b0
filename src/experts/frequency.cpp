#include "codmoe/experts/frequency.h"

#include "codmoe/ops/band_split.h"

namespace codmoe::experts {

FrequencyExpert::FrequencyExpert(const ExpertOptions& options)
    : BranchedExpert(options, {{Source::low, {.in = options.dim, .out = branch_widths(options.dim)[0]}},
                               {Source::mid, {.in = options.dim, .out = branch_widths(options.dim)[1]}},
                               {Source::high, {.in = options.dim, .out = branch_widths(options.dim)[2]}},
                               {Source::input, {.in = options.dim, .out = branch_widths(options.dim)[3]}}}) {}

std::vector<at::Tensor> FrequencyExpert::sources(const at::Tensor& x_bchw) const {
  const auto bands = ops::band_split(x_bchw);
  return {bands.low, bands.mid, bands.high, x_bchw};
}

}  // namespace codmoe::experts
