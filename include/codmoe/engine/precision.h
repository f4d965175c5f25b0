// How products are computed.
#pragma once

#include <ATen/autocast_mode.h>
#include <torch/nn/module.h>

#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// Sets LibTorch's switches for TensorFloat-32 on this process.
void set_precision(Precision precision);

/// bfloat16 autocast on a device for as long as it lives, where `precision` asks for it. Casts of weights are forgotten
/// at its end, because the optimizer changes the weights behind autocast's back.
class AutocastScope {
 public:
  AutocastScope(c10::DeviceType device, Precision precision);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
};

/// Lays every 4-D parameter out as channels-last (NHWC), which convolutions on tensor cores read directly.
void to_channels_last(torch::nn::Module& module);

}  // namespace codmoe::engine
