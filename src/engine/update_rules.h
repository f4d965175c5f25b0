// What differs between optimizers: the averages they keep, and how a step changes the parameters.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/engine/optimizer_options.h"

namespace codmoe::engine {

/// Parameters of one learning rate and weight decay, with their gradients; all lists are as long as `params`.
struct UpdateLists {
  std::vector<at::Tensor> params, gradients;
  std::vector<std::vector<at::Tensor>> averages;  ///< one list for each of UpdateRule::averages()
  std::vector<at::Tensor> steps;                  ///< counts, with this step in them
  double weight_decay = 0.0;
};

/// What else a step depends on: scalars on the device.
struct UpdateScalars {
  at::Tensor lr;
  std::optional<at::Tensor> divisor;  ///< of the gradients
  at::Tensor left_out;                ///< where it is 1 nothing may change
};

/// Neither waits for the device nor depends on the step through the host, so that a CUDA graph can hold it.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  /// Names of what is kept for each parameter, zero at first.
  virtual std::vector<std::string> averages() const = 0;
  virtual void apply(UpdateLists& lists, const UpdateScalars& scalars) const = 0;
};

/// @throws core::BadOption for an unknown name.
std::unique_ptr<UpdateRule> make_update_rule(const OptimizerOptions& options);

std::vector<std::string> optimizer_names();

}  // namespace codmoe::engine
