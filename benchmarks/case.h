// What the cases share: their options, their inputs, and how one timing becomes a record.
#pragma once

#include <vector>

#include "benchmarks/cache.h"
#include "benchmarks/ceilings.h"
#include "benchmarks/record.h"
#include "benchmarks/timing.h"

namespace codmoe::bench {

/// Every combination of dtype, pass and batch is a case.
struct SweepOptions {
  std::vector<int64_t> batch = {1, 4, 8, 16};
  std::vector<Precision> dtype = {Precision::float32};
  std::vector<Pass> pass = {Pass::forward};
  Layout memory_format = Layout::automatic;
  int64_t seed = 0;  ///< of weights, images and gates
  TimingOptions timing;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("batch", batch, core::at_least(1));
    visit("dtype", dtype);
    visit("pass", pass);
    visit("memory_format", memory_format);
    visit("seed", seed, core::at_least(0));
    visit("timing", timing);
  }
  void check() const;
};

/// The same on maps of one shape: "layer" and "experts".
struct CaseOptions : SweepOptions {
  int64_t dim = 288;
  int64_t height = 22;
  int64_t width = 22;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("dim", dim, core::at_least(4));
    visit("height", height, core::at_least(1));
    visit("width", width, core::at_least(1));
    SweepOptions::fields(visit);
  }
};

/// What one timing is of, beyond the options.
struct Case {
  Precision precision;
  Pass pass;
  int64_t batch;
  Inputs inputs = Inputs::warm;

  /// "float32 train batch 4", or "float32 train batch 4, cold"
  std::string text() const;
};

/// @throws core::BadOption naming `key` where the list is empty.
template <class T>
void require_values(const char* key, const std::vector<T>& values) {
  if (values.empty()) throw core::BadOption(key, "must name at least one value");
}

/// @throws core::UsageError for tf32 on another device than CUDA.
void require_support(Precision precision, const c10::Device& device);

/// Norms as after some training: with the initial ones and zeros, two ways that mixed them up would still agree.
void randomize_norms(torch::nn::Module& module);

/// Values from N(0, 1), a function of the seed and the shape.
at::Tensor draw_images(int64_t seed, at::IntArrayRef shape, at::ScalarType dtype, const c10::Device& device);
/// Images of the largest batch, [B, C, H, W] in the dtype.
at::Tensor draw_images(const CaseOptions& options, Precision precision, const c10::Device& device);

/// Measures the ceilings, and says them.
Ceilings log_ceilings(const c10::Device& device, Precision precision);

/// Gives one or more results of images.
using Forward = std::function<std::vector<at::Tensor>(const at::Tensor&)>;

/// What a training pass does beside giving every weight its gradient.
struct Training {
  bool input_gradient = true;  ///< as a layer between others needs; a network's images have none
  bool frozen_norm = false;    ///< in evaluation mode: norms use their running statistics and leave them alone
};

/// What is trained in a training pass: the sum of the results' mean squares, in float32 (float64 for such results).
at::Tensor mean_squares(const std::vector<at::Tensor>& results);

/// A pass of `module` on `images_bchw`, each call by `forward`: in evaluation mode without gradients, or forward and
/// backward of mean_squares() into fresh gradients. Sets the module's mode. `base` holds the sets of inputs and how
/// each is brought into place.
Workload pass_workload(Pass pass, torch::nn::Module& module, const at::Tensor& images_bchw, Forward forward,
                       const Training& training = {}, const Workload& base = {});

/// A record of `which`, without measurements.
Record describe_case(const SweepOptions& options, const Case& which, const c10::Device& device);
Record describe_case(const CaseOptions& options, const Case& which, const c10::Device& device);
void add_timing(Record& record, const Timing& timing);
void add_work(Record& record, const std::optional<Work>& work, const Ceilings& ceilings);

}  // namespace codmoe::bench
