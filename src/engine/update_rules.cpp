#include "update_rules.h"

#include <ATen/ATen.h>

#include "device_lists.h"

namespace codmoe::engine {

namespace {

class AdamWRule final : public UpdateRule {
 public:
  explicit AdamWRule(const OptimizerOptions& options) : options_(options.adamw) {}
  std::vector<std::string> averages() const override { return {"exp_avg", "exp_avg_sq"}; }

  void apply(UpdateLists& lists, const UpdateScalars& scalars) const override {
    at::_fused_adamw_(lists.params, lists.gradients, lists.averages[0], lists.averages[1], /*max_exp_avg_sqs=*/{},
                      lists.steps, scalars.lr, options_.beta1, options_.beta2, lists.weight_decay, options_.eps,
                      /*amsgrad=*/false, /*maximize=*/false, scalars.divisor, scalars.left_out);
  }

 private:
  AdamWOptions options_;
};

class SgdRule final : public UpdateRule {
 public:
  explicit SgdRule(const OptimizerOptions& options) : options_(options.sgd) {}
  std::vector<std::string> averages() const override {
    if (options_.momentum == 0) return {};
    return {"momentum_buffer"};
  }

  /// PyTorch begins with the first gradient in the buffer; without dampening that is a step from a buffer of zeros.
  void apply(UpdateLists& lists, const UpdateScalars& scalars) const override {
    const auto buffers = options_.momentum == 0 ? std::vector<at::Tensor>{} : lists.averages[0];
    at::_fused_sgd_(lists.params, lists.gradients, buffers, lists.weight_decay, options_.momentum, scalars.lr,
                    /*dampening=*/0.0, options_.nesterov, /*maximize=*/false, /*is_first_step=*/false, scalars.divisor,
                    scalars.left_out);
  }

 private:
  SgdOptions options_;
};

class LionRule final : public UpdateRule {
 public:
  explicit LionRule(const OptimizerOptions& options) : options_(options.lion) {}
  std::vector<std::string> averages() const override { return {"exp_avg"}; }

  /// LibTorch has no kernel for it. Moving by a sign is a step of plain SGD along that sign.
  void apply(UpdateLists& lists, const UpdateScalars& scalars) const override {
    auto& averages = lists.averages[0];
    if (scalars.divisor) lists.gradients = at::_foreach_div(lists.gradients, *scalars.divisor);
    const auto direction = at::_foreach_lerp(averages, lists.gradients, 1 - options_.beta1);
    at::_foreach_sign_(direction);
    at::_fused_sgd_(lists.params, direction, /*momentum_buffer_list=*/{}, lists.weight_decay, /*momentum=*/0.0,
                    scalars.lr, /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false,
                    /*grad_scale=*/{}, scalars.left_out);
    move_towards(averages, lists.gradients, at::full_like(scalars.lr, 1 - options_.beta2), scalars.left_out);
  }

 private:
  LionOptions options_;
};

template <class Rule>
std::unique_ptr<UpdateRule> make(const OptimizerOptions& options) {
  return std::make_unique<Rule>(options);
}

struct Entry {
  const char* name;
  std::unique_ptr<UpdateRule> (*make)(const OptimizerOptions&);
};

/// One line an optimizer.
constexpr Entry registry[] = {
    {"adamw", make<AdamWRule>},
    {"sgd", make<SgdRule>},
    {"lion", make<LionRule>},
};

}  // namespace

std::unique_ptr<UpdateRule> make_update_rule(const OptimizerOptions& options) {
  options.check();
  for (const auto& entry : registry) {
    if (options.name == entry.name) return entry.make(options);
  }
  return nullptr;
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const auto& entry : registry) names.emplace_back(entry.name);
  return names;
}

}  // namespace codmoe::engine
