#include "codmoe/experts/contrast.h"

namespace codmoe::experts {

ContrastExpert::ContrastExpert(const ExpertOptions& options)
    : BranchedExpert(options, {{Source::input, {.in = options.dim, .out = branch_widths(options.dim)[0], .kernel = 3}},
                               {Source::input,
                                {.in = options.dim, .out = branch_widths(options.dim)[1], .kernel = 3, .dilation = 2}},
                               {Source::input, {.in = options.dim, .out = branch_widths(options.dim)[2], .kernel = 5}},
                               {Source::input, {.in = options.dim, .out = branch_widths(options.dim)[3]}}}) {}

std::vector<at::Tensor> ContrastExpert::sources(const at::Tensor& x_bchw) const {
  return {x_bchw, x_bchw, x_bchw, x_bchw};
}

}  // namespace codmoe::experts
