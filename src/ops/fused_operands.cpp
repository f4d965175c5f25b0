#ifdef CODMOE_CUDA
#include "fused_operands.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAException.h>

#include "fused_parameters.h"

namespace codmoe::ops {

namespace {

/// In a type and in strides that the kernel reads.
at::Tensor readable(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  const auto typed = type == at::kFloat || type == at::kBFloat16 ? tensor : tensor.to(at::kFloat);
  return has_tap_stride(typed) ? typed : typed.contiguous();
}

bool widens(const cuda::Groups& groups) { return groups.given != groups.width; }

}  // namespace

FusedOperands::FusedOperands(const at::Tensor& x, at::ScalarType vectors)
    : device_(x.device()), maps_(x.scalar_type()), vectors_(vectors) {}

const void* FusedOperands::filters(const at::Tensor& weight, const cuda::Groups& out, const cuda::Groups& in) {
  const bool fits = weight.scalar_type() == maps_ && weight.is_contiguous(at::MemoryFormat::ChannelsLast);
  if (fits && !widens(out) && !widens(in)) return keep(weight);
  const auto from = readable(weight);
  auto parameter = fused_parameter(from, out, in);
  parameter.vector = false;
  return keep_copy(from, maps_, parameter);
}

const void* FusedOperands::vector(const at::Tensor& values, const cuda::Groups& out) {
  if (values.scalar_type() == vectors_ && values.is_contiguous() && !widens(out)) return keep(values);
  TORCH_INTERNAL_ASSERT(vectors_ == at::kFloat);
  const auto from = readable(values);
  return keep_copy(from, vectors_, fused_parameter(from, out, {}));
}

void FusedOperands::copy(cuda::Math math, cudaStream_t stream) const {
  for (const auto& list : lists_) C10_CUDA_CHECK(cuda::launch_pack(list, math, stream));
}

const void* FusedOperands::keep(const at::Tensor& tensor) {
  TORCH_CHECK(tensor.device() == device_, "fused_moe: a parameter is on ", tensor.device(), ", the input on ", device_);
  return kept_.emplace_back(tensor).const_data_ptr();
}

const void* FusedOperands::keep_copy(const at::Tensor& tensor, at::ScalarType type, cuda::Parameter parameter) {
  keep(tensor);
  const int64_t size = int64_t{parameter.out} * parameter.in * parameter.taps;
  auto* to = kept_.emplace_back(at::empty({size}, tensor.options().requires_grad(false).dtype(type))).data_ptr();
  if (lists_.empty() || lists_.back().count == cuda::kMaxParameters) lists_.emplace_back();
  auto& list = lists_.back();
  parameter.reversed = -1;
  parameter.first_tile = list.tiles;
  list.tiles += cuda::pack_tiles(parameter);
  list.to[list.count] = to;
  list.parameters[list.count++] = parameter;
  return to;
}

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
