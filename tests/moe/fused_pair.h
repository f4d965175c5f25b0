// What tests of the fused kernels share: kinds of products, and a layer on the GPU beside the same in float64.
#pragma once

#include <ATen/Context.h>

#include <array>

#include "moe/layer_run.h"
#include "support/cuda.h"

namespace codmoe::moe {

/// A type of the experts, and how far results may be off, relative to the largest.
struct Kind {
  const char* name;
  at::ScalarType type;
  bool tf32;
  double output;
  double gradient;  ///< 0: as eager `batched`'s own
};
constexpr Kind kKinds[] = {{"float32", at::kFloat, false, 1e-5, 1e-4},
                           {"tf32", at::kFloat, true, 2e-3, 0},
                           {"bfloat16", at::kBFloat16, false, 1e-2, 0}};

inline void PrintTo(const Kind& kind, std::ostream* stream) { *stream << kind.name; }
inline std::string kind_name(const testing::TestParamInfo<Kind>& which) { return which.param.name; }

/// Runs each test on a GPU with the kind's products.
class KindTest : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    before_ = at::globalContext().allowTF32CuDNN();
    at::globalContext().setAllowTF32CuDNN(GetParam().tf32);
  }
  void TearDown() override { at::globalContext().setAllowTF32CuDNN(before_); }

 private:
  bool before_ = false;
};

/// Channels that the kernels widen: the smallest, and those of EfficientNet-Lite0, 2 and 3 and of EdgeNeXt-Small at
/// stride 32.
constexpr std::array<int64_t, 7> kWidenedChannels{8, 24, 40, 112, 120, 136, 304};

/// Leaves NaN in the memory that the next tensors get.
inline void poison() {
  const auto bytes = at::full({int64_t{256} << 20}, 255, at::TensorOptions(c10::kCUDA).dtype(at::kByte));
}

/// As Module::to(), which converts the counters of batches too: they become integers again.
inline void to_type(torch::nn::Module& module, at::ScalarType type) {
  module.to(type);
  for (const auto& buffer : module.named_buffers()) {
    if (buffer.key().ends_with("num_batches_tracked")) buffer.value().set_data(buffer.value().to(at::kLong));
  }
}

/// A layer on the GPU under `fused`, its experts in the kind's type, and the same values in float64 on the CPU.
struct FusedPair {
  SparseCODMoE layer, exact;

  FusedPair(int64_t dim, const MoeOptions& options, at::ScalarType type, uint64_t seed, bool channels_last = true)
      : layer(make_layer(dim, options, seed)), exact(dim, options) {
    layer->to(at::kFloat);
    for (const auto& expert : layer->pool()) to_type(*expert, type);
    exact->to(at::kDouble);
    nn::load_state(*exact, nn::state_dict(*layer));
    layer->to(c10::kCUDA);
    layer->set_dispatch(Dispatch::fused);
    if (!channels_last) return;
    for (auto& parameter : layer->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
    }
  }

  void train(bool training) {
    layer->train(training);
    exact->train(training);
  }
};

/// Images that differ in their means, on the GPU, channels last.
inline at::Tensor gpu_images(at::IntArrayRef shape, uint64_t seed, at::ScalarType type) {
  return spread_images(shape, seed).to(c10::kCUDA, type).contiguous(at::MemoryFormat::ChannelsLast);
}

}  // namespace codmoe::moe
