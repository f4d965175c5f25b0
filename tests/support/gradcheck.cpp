#include "support/gradcheck.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

namespace codmoe::test {

namespace {

/// All results in one row, in the order of their names.
at::Tensor row_of(const TensorMap& results) {
  std::vector<at::Tensor> rows;
  for (const auto& [name, tensor] : results) rows.push_back(tensor.reshape({-1}));
  return at::cat(rows);
}

/// "name[1, 0, 2]" for element `flat` of a tensor.
std::string element_name(const std::string& name, const at::Tensor& tensor, int64_t flat) {
  std::vector<int64_t> index(static_cast<std::size_t>(tensor.dim()));
  for (auto d = tensor.dim() - 1; d >= 0; flat /= tensor.size(d--)) {
    index[static_cast<std::size_t>(d)] = flat % tensor.size(d);
  }
  return fmt::format("{}[{}]", name, fmt::join(index, ", "));
}

/// The same for element `flat` of row_of(results).
std::string result_name(const TensorMap& results, int64_t flat) {
  for (const auto& [name, tensor] : results) {
    if (flat < tensor.numel()) return element_name(name, tensor, flat);
    flat -= tensor.numel();
  }
  return "?";
}

class Check {
 public:
  Check(const Differentiable& function, const TensorMap& leaves, const GradcheckOptions& options)
      : function_(function), leaves_(leaves), options_(options), results_(function()), row_(row_of(results_)) {}

  testing::AssertionResult run() {
    for (const auto& [name, tensor] : leaves_) {
      if (!tensor.is_leaf() || !tensor.requires_grad() || tensor.scalar_type() != at::kDouble) {
        return testing::AssertionFailure() << name << " is no float64 leaf that requires a gradient";
      }
    }
    if (!row_.requires_grad()) return testing::AssertionFailure() << "no result has a gradient";
    if (!values().equal(row_.detach())) return testing::AssertionFailure() << "a second call gives other values";
    return options_.full ? every_element() : projections();
  }

 private:
  at::Tensor values() const {
    const at::NoGradGuard no_grad;
    return row_of(function_());
  }

  /// Derivative of every result along `direction` of one leaf.
  at::Tensor difference(at::Tensor tensor, const at::Tensor& direction) const {
    const at::NoGradGuard no_grad;
    const auto centre = tensor.clone();
    tensor.copy_(centre + options_.step * direction);
    const auto above = values();
    tensor.copy_(centre - options_.step * direction);
    const auto below = values();
    tensor.copy_(centre);
    return (above - below) / (2 * options_.step);
  }

  /// The same along every element of a leaf, [results, elements].
  at::Tensor differences(const at::Tensor& tensor) const {
    std::vector<at::Tensor> columns;
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      auto direction = at::zeros({tensor.numel()}, at::kDouble);
      direction[i] = 1;
      columns.push_back(difference(tensor, direction.view(tensor.sizes())));
    }
    return at::stack(columns, 1);
  }

  /// Autograd's derivatives of weights . results, one tensor a leaf; zeros where the leaf is not used.
  std::vector<at::Tensor> gradients(const at::Tensor& weights) const {
    std::vector<at::Tensor> inputs;
    for (const auto& [name, tensor] : leaves_) inputs.push_back(tensor);
    auto found = torch::autograd::grad({row_}, inputs, {weights}, /*retain_graph=*/true, /*create_graph=*/false,
                                       /*allow_unused=*/true);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i].defined()) found[i] = at::zeros_like(inputs[i]);
    }
    return found;
  }

  /// Error over tolerance: more than 1, or not a number, is a failure.
  at::Tensor excess(const at::Tensor& analytic, const at::Tensor& numeric) const {
    return (analytic - numeric).abs() / (options_.absolute + options_.relative * numeric.abs());
  }

  testing::AssertionResult every_element() const {
    std::vector<std::vector<at::Tensor>> rows;  // [results][leaves]
    for (int64_t j = 0; j < row_.numel(); ++j) {
      auto one = at::zeros_like(row_.detach());
      one[j] = 1;
      rows.push_back(gradients(one));
    }
    auto answer = testing::AssertionSuccess();
    std::size_t index = 0;
    for (const auto& [name, tensor] : leaves_) {
      std::vector<at::Tensor> analytic;
      for (const auto& row : rows) analytic.push_back(row[index].reshape({-1}));
      add_worst(answer, name, tensor, at::stack(analytic), differences(tensor));
      ++index;
    }
    return answer;
  }

  testing::AssertionResult projections() const {
    auto seed = options_.seed;
    const auto weights = randn(row_.sizes(), seed);
    const auto gradient = gradients(weights);
    auto answer = testing::AssertionSuccess();
    std::size_t index = 0;
    for (const auto& [name, tensor] : leaves_) {
      const auto random = randn(tensor.sizes(), ++seed);
      const auto direction = random / random.norm();
      const auto analytic = (gradient[index] * direction).sum(), numeric = difference(tensor, direction).dot(weights);
      if (!(excess(analytic, numeric).item<double>() <= 1)) {
        answer = testing::AssertionFailure() << answer.message();
        answer << name << " along a direction: autograd " << analytic.item<double>() << ", central difference "
               << numeric.item<double>() << "; ";
        // Only now is it worth the time to look for the element.
        add_worst(answer, name, tensor, gradient[index].reshape({1, -1}), weights.unsqueeze(0).mm(differences(tensor)));
      }
      ++index;
    }
    return answer;
  }

  /// Adds the worst element of one leaf to `answer` where it is beyond tolerance. Both: [results or 1, elements].
  void add_worst(testing::AssertionResult& answer, const std::string& name, const at::Tensor& tensor,
                 const at::Tensor& analytic, const at::Tensor& numeric) const {
    const auto error = excess(analytic, numeric).nan_to_num(INFINITY);
    const auto worst = error.argmax().item<int64_t>();
    const auto bad = (error > 1).sum().item<int64_t>();
    if (bad == 0) return;
    if (answer) answer = testing::AssertionFailure();
    const auto result = analytic.size(0) == 1 ? "all results" : result_name(results_, worst / tensor.numel());
    answer << element_name(name, tensor, worst % tensor.numel()) << " -> " << result << ": autograd "
           << analytic.reshape({-1})[worst].item<double>() << ", central difference "
           << numeric.reshape({-1})[worst].item<double>() << " (worst of " << bad << " beyond tolerance of "
           << error.numel() << "); ";
  }

  const Differentiable& function_;
  const TensorMap& leaves_;
  const GradcheckOptions& options_;
  TensorMap results_;
  at::Tensor row_;
};

}  // namespace

testing::AssertionResult gradcheck(const Differentiable& function, const TensorMap& leaves,
                                   const GradcheckOptions& options) {
  return Check(function, leaves, options).run();
}

at::Tensor leaf(const at::Tensor& value) { return value.detach().clone().requires_grad_(); }

TensorMap parameters(const torch::nn::Module& module) {
  TensorMap result;
  for (const auto& item : module.named_parameters()) result[item.key()] = item.value();
  return result;
}

}  // namespace codmoe::test
