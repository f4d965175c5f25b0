#include "codmoe/dist/all_sum.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace codmoe::dist {

namespace {

at::Tensor sum_of(const at::Tensor& x, Group& group) {
  const auto sum = x.clone(at::MemoryFormat::Contiguous);
  group.sum(sum);
  return sum;
}

class AllSum : public torch::autograd::Function<AllSum> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, Group* group) {
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    return sum_of(x, *group);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* group = reinterpret_cast<Group*>(context->saved_data["group"].toInt());
    return {sum_of(gradients[0], *group), {}};
  }
};

}  // namespace

at::Tensor all_sum(const at::Tensor& x, Group& group) { return AllSum::apply(x, &group); }

}  // namespace codmoe::dist
