#include "benchmarks/precision.h"

#include <ATen/Context.h>

namespace codmoe::bench {

at::ScalarType scalar_type(Precision precision) {
  return precision == Precision::bfloat16 ? at::kBFloat16 : at::kFloat;
}

at::MemoryFormat memory_format(Layout layout, Precision precision) {
  const bool last = layout == Layout::channels_last || (layout == Layout::automatic && precision != Precision::float32);
  return last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
}

void convert(torch::nn::Module& module, at::ScalarType dtype, at::MemoryFormat format) {
  // Not Module::to: it would make counters, which are int64, floating-point too.
  const auto apply = [&](at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_floating_point()) return;
    auto converted = tensor.detach().to(dtype);
    tensor.set_data(tensor.dim() == 4 ? converted.contiguous(format) : converted);
  };
  for (auto& parameter : module.parameters()) apply(parameter);
  for (auto& buffer : module.buffers()) apply(buffer);
}

PrecisionScope::PrecisionScope(Precision precision)
    : matmul_tf32_(at::globalContext().allowTF32CuBLAS()),
      conv_tf32_(at::globalContext().allowTF32CuDNN()),
      benchmark_(at::globalContext().benchmarkCuDNN()) {
  at::globalContext().setAllowTF32CuBLAS(precision == Precision::tf32);
  at::globalContext().setAllowTF32CuDNN(precision == Precision::tf32);
  at::globalContext().setBenchmarkCuDNN(true);
}

PrecisionScope::~PrecisionScope() {
  at::globalContext().setAllowTF32CuBLAS(matmul_tf32_);
  at::globalContext().setAllowTF32CuDNN(conv_tf32_);
  at::globalContext().setBenchmarkCuDNN(benchmark_);
}

}  // namespace codmoe::bench
