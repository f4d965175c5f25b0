#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "codmoe/ops/fused_moe.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "cuda/train_launch.h"
#include "cuda_call.h"
#include "fused_layer.h"
#include "fused_parameters.h"
#endif

namespace codmoe::ops {

#ifndef CODMOE_CUDA

std::string fused_moe_training_refusal(const at::Tensor&, const std::vector<FusedExpert>&) {
  return "this build has no CUDA";
}

FusedResult fused_moe_training(const at::Tensor&, const FusedRouter&, const std::vector<FusedExpert>&) {
  TORCH_CHECK(false, "fused_moe_training: this build has no CUDA");
}

#else

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor bytes(std::size_t size, const c10::Device& device) {
  return at::empty({static_cast<int64_t>(size)}, at::TensorOptions(device).dtype(at::kByte));
}

cudaStream_t stream_of(const at::Tensor& x) { return at::cuda::getCurrentCUDAStream(x.get_device()).stream(); }

/// The description of one forward, for its backward; without memory, which autograd keeps and lets go.
struct Step final : torch::CustomClassHolder {
  cuda::Training training;
  cuda::TrainPlan plan;
  FusedParameters parameters;
  FusedGate gate;
  at::Tensor noise;

  Step(const at::Tensor& x, const FusedWidths& widths, const FusedRouter& router,
       const std::vector<FusedExpert>& experts)
      : gate(router), noise(router.noise) {
    training.shape = fused_shape(x, widths, static_cast<int64_t>(experts.size()), router.top_k);
    training.math = fused_math(x);
    training.router = gate.router;
    if (noise.defined()) training.noise = noise.const_data_ptr<float>();
    parameters = describe_training(experts, widths, training);
    TORCH_CHECK(cuda::make_train_plan(training, plan), "fused_moe_training: too many convolutions");
  }
};

using StepPtr = c10::intrusive_ptr<Step>;

/// What autograd keeps for the backward, in this order.
enum Saved : std::size_t { kX, kLogits, kProbs, kIndices, kWeights, kMean, kMemory, kGate };

cuda::Choice choice_of(const variable_list& saved) {
  return {saved[kLogits].data_ptr<float>(), saved[kProbs].data_ptr<float>(), saved[kIndices].data_ptr<int64_t>(),
          saved[kWeights].data_ptr<float>(), saved[kMean].data_ptr<float>()};
}

class TrainingFunction : public torch::autograd::Function<TrainingFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x_bchw, const at::Tensor&, const at::Tensor&,
                               at::TensorList, const StepPtr& step) {
    const auto x = aligned(x_bchw, at::MemoryFormat::ChannelsLast);
    const FusedChoice choice(x, step->training.shape.experts, step->training.shape.top_k);
    const auto y = at::empty_like(x);
    auto training = step->training;
    auto plan = step->plan;
    const auto saved = bytes(plan.memory.saved_bytes, x.device()), work = bytes(plan.memory.forward_bytes, x.device());
    training.x = x.const_data_ptr();
    training.y = y.data_ptr();
    training.choice = choice.pointers();
    plan.memory.saved = static_cast<char*>(saved.data_ptr());
    plan.memory.work = static_cast<char*>(work.data_ptr());
    C10_CUDA_CHECK(cuda::launch_train_forward(training, plan, stream_of(x)));

    context->save_for_backward({x, choice.logits_be, choice.probs_be, choice.indices_bk, choice.weights_bk,
                                choice.mean_bc, saved, step->gate.weight});
    context->saved_data["step"] = c10::IValue::make_capsule(step);
    context->mark_non_differentiable({choice.indices_bk});
    context->set_materialize_grads(false);
    return {y, choice.logits_be, choice.probs_be, choice.indices_bk, choice.weights_bk};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "fused_moe_training: differentiable once; no create_graph");
    const auto saved = context->get_saved_variables();
    const auto& x = saved[kX];
    const c10::cuda::CUDAGuard guard(x.device());
    const auto step = c10::static_intrusive_pointer_cast<Step>(context->saved_data["step"].toCapsule());
    auto training = step->training;
    auto plan = step->plan;
    const auto work = bytes(plan.memory.backward_bytes, x.device());
    plan.memory.saved = static_cast<char*>(saved[kMemory].data_ptr());
    plan.memory.work = static_cast<char*>(work.data_ptr());
    training.x = x.const_data_ptr();
    training.choice = choice_of(saved);
    training.router.weight = saved[kGate].const_data_ptr<float>();

    const auto upstream = gradients[0].defined()
                              ? aligned(gradients[0].to(x.scalar_type()), at::MemoryFormat::ChannelsLast)
                              : at::zeros_like(x);
    const auto floats = [](const at::Tensor& gradient) {
      return gradient.defined() ? gradient.to(at::kFloat).contiguous() : gradient;
    };
    const auto pointer = [](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.const_data_ptr<float>() : nullptr;
    };
    const auto logits = floats(gradients[1]), probs = floats(gradients[2]), weights = floats(gradients[4]);
    training.y_gradient = upstream.const_data_ptr();
    training.choice_gradient = {pointer(logits), pointer(probs), pointer(weights)};

    variable_list results = {at::empty_like(x), at::empty_like(saved[kGate]), at::empty_like(step->gate.bias)};
    training.x_gradient = results[0].data_ptr();
    training.router_weight_gradient = results[1].data_ptr<float>();
    training.router_bias_gradient = results[2].data_ptr<float>();
    for (const auto& gradient : step->parameters.make_gradients(training)) results.push_back(gradient);
    C10_CUDA_CHECK(cuda::launch_train_backward(training, plan, stream_of(x)));
    results.emplace_back();  // of the step
    return results;
  }
};

}  // namespace

std::string fused_moe_training_refusal(const at::Tensor& x_bchw, const std::vector<FusedExpert>& experts) {
  auto refusal = fused_moe_refusal(x_bchw, experts);
  if (!refusal.empty()) return refusal;
  if (x_bchw.size(0) > cuda::kMaxBatch)
    return fmt::format("{} images are more than {}", x_bchw.size(0), cuda::kMaxBatch);
  return training_form_refusal(experts, x_bchw.device(), FusedWidths(x_bchw.size(1)));
}

FusedResult fused_moe_training(const at::Tensor& x_bchw, const FusedRouter& router,
                               const std::vector<FusedExpert>& experts) {
  const auto refusal = fused_moe_training_refusal(x_bchw, experts);
  TORCH_CHECK(refusal.empty(), "fused_moe_training: ", refusal);
  const c10::cuda::CUDAGuard guard(x_bchw.device());
  check_router(x_bchw, router, experts.size());
  const FusedWidths widths(x_bchw.size(1));
  const auto x = widen_images(x_bchw, widths);
  const auto gate = widen_router(router, widths);
  const auto step = c10::make_intrusive<Step>(x, widths, gate, experts);
  const auto results =
      TrainingFunction::apply(x, gate.weight, gate.bias, at::TensorList(step->parameters.tensors()), step);
  return {narrow_result(results[0], widths), results[1], results[2], results[3], results[4]};
}

#endif

}  // namespace codmoe::ops
