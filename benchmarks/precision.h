// The arithmetic of a benchmark: dtype, TF32 and memory format.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "codmoe/core/options.h"

namespace codmoe::bench {

enum class Precision {
  float32,  ///< IEEE products
  tf32,     ///< float32 tensors, TF32 products; CUDA only
  bfloat16  ///< bfloat16 tensors
};
constexpr auto enum_names(Precision) {
  return core::names<Precision>(
      {{"float32", Precision::float32}, {"tf32", Precision::tf32}, {"bfloat16", Precision::bfloat16}});
}

enum class Layout {
  automatic,  ///< contiguous in float32, channels last in tf32 and bfloat16
  contiguous,
  channels_last
};
constexpr auto enum_names(Layout) {
  return core::names<Layout>(
      {{"auto", Layout::automatic}, {"contiguous", Layout::contiguous}, {"channels_last", Layout::channels_last}});
}

at::ScalarType scalar_type(Precision precision);
at::MemoryFormat memory_format(Layout layout, Precision precision);

/// Every floating-point parameter and buffer of `module` gets this dtype, those of four dimensions this format too.
void convert(torch::nn::Module& module, at::ScalarType dtype, at::MemoryFormat format);

/// For its lifetime, TF32 is on for `tf32` and off for the others, and cuDNN picks its algorithms by trying them.
class PrecisionScope {
 public:
  explicit PrecisionScope(Precision precision);
  ~PrecisionScope();
  PrecisionScope(const PrecisionScope&) = delete;
  PrecisionScope& operator=(const PrecisionScope&) = delete;

 private:
  bool matmul_tf32_, conv_tf32_, benchmark_;
};

}  // namespace codmoe::bench
