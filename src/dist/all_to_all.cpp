#include "codmoe/dist/all_to_all.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace codmoe::dist {

namespace {

class AllToAll : public torch::autograd::Function<AllToAll> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows,
                            const std::optional<at::Tensor>& /*after*/, const RowCounts& counts, Group* group) {
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    context->saved_data["send"] = counts.send;
    context->saved_data["receive"] = counts.receive;
    return group->exchange(rows, counts);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const auto counts = [&](const char* name) { return context->saved_data[name].toIntVector(); };
    auto* group = reinterpret_cast<Group*>(context->saved_data["group"].toInt());
    return {group->exchange(gradients[0], {.send = counts("receive"), .receive = counts("send")}), {}, {}, {}};
  }
};

}  // namespace

at::Tensor all_to_all(const at::Tensor& rows, const RowCounts& counts, Group& group,
                      const std::optional<at::Tensor>& after) {
  return AllToAll::apply(rows, after, counts, &group);
}

}  // namespace codmoe::dist
