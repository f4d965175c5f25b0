// Keeps the load spread over the experts.
#pragma once

#include "codmoe/core/options.h"
#include "codmoe/moe/routing.h"

namespace codmoe::moe {

enum class BalanceMethod {
  loss,  ///< a term of the loss (Switch Transformers, Fedus et al. 2021)
  bias,  ///< a bias on the choice alone, moved once a step (loss-free balancing, Wang et al. 2024)
  off    ///< neither
};
constexpr auto enum_names(BalanceMethod) {
  return core::names<BalanceMethod>(
      {{"loss", BalanceMethod::loss}, {"bias", BalanceMethod::bias}, {"off", BalanceMethod::off}});
}

/// The loss term's coefficient grows from `min` to `max` between two epochs, so that experts may differ before they are
/// balanced. `entropy` and `z` hold for every method.
struct BalanceOptions {
  BalanceMethod method = BalanceMethod::loss;
  double rate = 1e-3;     ///< of `bias`: how far an expert's selection bias moves in a step, as a probability
  double min = 1e-5;      ///< coefficient of `loss` up to epoch `start`
  double max = 1e-4;      ///< coefficient from epoch `end` on
  int64_t start = 30;     ///< 0-based epoch
  int64_t end = 90;       ///< 0-based epoch
  double entropy = 5e-5;  ///< coefficient of the routing entropy, which is encouraged
  double z = 0.0;         ///< coefficient of the squared log-sum-exp of the logits (ST-MoE, Zoph et al. 2022)

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("method", method);
    visit("rate", rate, core::above(0.0));
    visit("min", min, core::at_least(0.0));
    visit("max", max, core::at_least(0.0));
    visit("start", start, core::at_least(0.0));
    visit("end", end, core::at_least(0.0));
    visit("entropy", entropy, core::at_least(0.0));
    visit("z", z, core::at_least(0.0));
  }
  void check() const;
};

/// min + (max - min) * clamp((epoch - start) / (end - start), 0, 1). Source: the guide's warmup, clamped as it meant.
double balance_coefficient(const BalanceOptions& options, int64_t epoch);

/// coef(epoch) * E * sum_e f_e * P_e - entropy * H + z * mean(logsumexp(logits)^2): a scalar to add to the task's loss.
/// f_e is expert e's share of the assignments (no gradient), P_e its mean probability, H the mean entropy of the
/// probabilities in nats; means are over images, and positions where routing is spatial. Within dist::SharedStatistics
/// f_e is the share in all ranks' assignments, so that the ranks' mean of this is the whole batch's. The first term is there for
/// the method `loss` alone.
at::Tensor balance_loss(const Routing& routing, const BalanceOptions& options, int64_t epoch);
/// The same with coef(epoch) as a scalar on the device, which a captured CUDA graph reads anew at every replay.
at::Tensor balance_loss(const Routing& routing, const BalanceOptions& options, const at::Tensor& coefficient);

}  // namespace codmoe::moe
