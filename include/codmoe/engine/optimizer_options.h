// Which optimizer, and its numbers.
#pragma once

#include <string>

#include "codmoe/core/options.h"

namespace codmoe::engine {

/// Loshchilov and Hutter 2019.
struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("beta1", beta1, core::between(0.0, 0.9999999));
    visit("beta2", beta2, core::between(0.0, 0.9999999));
    visit("eps", eps, core::above(0.0));
  }
};

/// As torch.optim.SGD, without dampening: the weight decay is added to the gradient.
struct SgdOptions {
  double momentum = 0.9;
  bool nesterov = false;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("momentum", momentum, core::between(0.0, 0.9999999));
    visit("nesterov", nesterov);
  }
  void check() const;
};

/// Chen et al. 2023, arXiv:2302.06675; the decay is decoupled, as AdamW's.
struct LionOptions {
  double beta1 = 0.9;   ///< of the average whose sign is the step
  double beta2 = 0.99;  ///< of the average that is kept

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("beta1", beta1, core::between(0.0, 0.9999999));
    visit("beta2", beta2, core::between(0.0, 0.9999999));
  }
};

struct OptimizerOptions {
  std::string name = "adamw";  ///< of optimizer_names(); the options of the others mean nothing
  double lr = 1e-4;
  double weight_decay = 1e-4;  ///< of weights; norms and biases are not decayed
  double clip_norm = 1.0;      ///< gradients are scaled down to this norm of all together; 0 switches it off
  double clip_value = 0.0;     ///< each value of a gradient is cut to +- this; 0 switches it off
  AdamWOptions adamw = {};
  SgdOptions sgd = {};
  LionOptions lion = {};

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("name", name);
    visit("lr", lr, core::above(0.0));
    visit("weight_decay", weight_decay, core::at_least(0.0));
    visit("clip_norm", clip_norm, core::at_least(0.0));
    visit("clip_value", clip_value, core::at_least(0.0));
    visit("adamw", adamw);
    visit("sgd", sgd);
    visit("lion", lion);
  }
  /// @throws core::BadOption for an unknown name, or where gradients would be clipped in both ways.
  void check() const;
};

}  // namespace codmoe::engine
