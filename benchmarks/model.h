// The case "model": a backbone alone, forward and a training step's forward and backward.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "benchmarks/case.h"
#include "benchmarks/graph.h"
#include "codmoe/backbone/backbone.h"

namespace codmoe::bench {

/// Every combination of backbone, dtype, size, pass, batch and launch is a case; launch `graph` only on CUDA. As in
/// training, weights and images are float32 in every dtype, and bfloat16 is autocast.
struct ModelOptions : SweepOptions {
  std::vector<std::string> backbone = {"pvt_v2_b2"};
  std::filesystem::path weights = {};  ///< safetensors in timm's names, of the only backbone; empty: random ones
  std::vector<std::vector<int64_t>> size = {{224, 224}, {352, 352}};  ///< [height, width] in pixels
  std::vector<Launch> launch = {Launch::eager};
  bool frozen_norm = false;  ///< train: in evaluation mode, so that norms use their running statistics

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("backbone", backbone);
    visit("weights", weights);
    visit("size", size, core::at_least(1));
    visit("launch", launch);
    visit("frozen_norm", frozen_norm);
    SweepOptions::fields(visit);
  }
  /// @throws core::BadOption for an unknown name, a size that is not two numbers, an empty list, or weights of several
  ///   backbones.
  void check() const;
};

/// One backbone as the case times it.
class ModelSetup {
 public:
  /// Weights, float32 or float64 by `dtype`, on the device in the layout of options and precision.
  /// @throws core::Error for weights that don't fit.
  ModelSetup(const ModelOptions& options, const std::string& name, Precision precision, at::ScalarType dtype,
             const c10::Device& device);

  backbone::Backbone& backbone() { return *backbone_; }
  /// The four features, under autocast for bfloat16; `this` must outlive it.
  Forward forward();
  at::Tensor lay_out(const at::Tensor& images_bchw) const { return images_bchw.contiguous(format_); }

 private:
  std::shared_ptr<backbone::Backbone> backbone_;
  Precision precision_;
  at::MemoryFormat format_;
};

/// Times all cases. @throws core::UsageError for tf32 without a GPU or where no launch is possible.
std::vector<Record> run_model(const ModelOptions& options, const c10::Device& device);

/// Writes as safetensors `input` and `features.0` … `features.3` (finest first) of the first backbone, dtype, size,
/// batch and pass; for `train` also `grad.NAME`, the gradient of mean_squares() for every parameter it reaches; where
/// options.weights is empty the random weights under timm's names, as they were before the pass. The file's metadata
/// name `backbone`, `dtype`, `pass` and what `norms` used: "running" or "batch" statistics.
/// The images are random, or those of the safetensors file `input` under the same name: [B, 3, H, W], normalised
/// already; float64 ones are computed in float64, others as the dtype says.
/// @throws core::Error naming the file and what is wrong with it.
void save_model_io(const std::filesystem::path& file, const std::filesystem::path& input, const ModelOptions& options,
                   const c10::Device& device);

/// A table of one row a case for each backbone and size.
std::string format_model(const std::vector<Record>& records);

}  // namespace codmoe::bench
