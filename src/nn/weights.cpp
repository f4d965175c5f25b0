#include "codmoe/nn/weights.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/util/StringUtil.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "codmoe/core/error.h"

namespace codmoe::nn {

namespace {

/// The first few of `keys`, for one line.
std::string list_keys(const std::vector<std::string>& keys) {
  constexpr std::size_t shown = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, keys.size()); ++i) text += (i == 0 ? "" : ", ") + keys[i];
  return keys.size() > shown ? fmt::format("{} and {} more", text, keys.size() - shown) : text;
}

bool is_optional(std::string_view key) {
  constexpr std::string_view name = "num_batches_tracked";
  return key == name || key.ends_with(fmt::format(".{}", name));
}

bool is_ignored(const std::string& key, const LoadPolicy& policy) {
  return std::any_of(policy.ignored_prefixes.begin(), policy.ignored_prefixes.end(),
                     [&](const std::string& prefix) { return key.starts_with(prefix); });
}

LoadReport compare(const TensorMap& state, const TensorMap& tensors, const LoadPolicy& policy) {
  LoadReport report;
  for (const auto& [key, target] : state) {
    const auto found = tensors.find(key);
    if (found == tensors.end()) {
      if (!is_optional(key)) report.missing.push_back(key);
    } else if (found->second.sizes() != target.sizes()) {
      report.misshaped.push_back(c10::str(key, " (", found->second.sizes(), ", the model has ", target.sizes(), ")"));
    } else {
      report.matched.push_back(key);
    }
  }
  for (const auto& [key, tensor] : tensors) {
    if (state.contains(key) || is_optional(key)) continue;
    (is_ignored(key, policy) ? report.ignored : report.unexpected).push_back(key);
  }
  return report;
}

}  // namespace

std::string LoadReport::summary() const {
  std::string text = fmt::format("{} tensors matched", matched.size());
  if (!missing.empty()) text += fmt::format("; {} missing: {}", missing.size(), list_keys(missing));
  if (!unexpected.empty()) text += fmt::format("; {} unexpected: {}", unexpected.size(), list_keys(unexpected));
  if (!misshaped.empty()) text += fmt::format("; {} mis-shaped: {}", misshaped.size(), list_keys(misshaped));
  if (!ignored.empty()) text += fmt::format("; {} ignored: {}", ignored.size(), list_keys(ignored));
  return text;
}

std::string LoadReport::text() const {
  std::vector<std::pair<std::string, int64_t>> parts;  // the keys are in order, so that a part's are together
  for (const auto& key : matched) {
    auto part = key.substr(0, key.find('.'));
    if (parts.empty() || parts.back().first != part) parts.emplace_back(std::move(part), 0);
    ++parts.back().second;
  }
  auto text = fmt::format("matched     {:5}", matched.size());
  for (const auto& [part, count] : parts) text += fmt::format("  {} ({})", part, count);
  const auto add = [&](const char* what, const std::vector<std::string>& keys) {
    text += fmt::format("\n{:11} {:5}", what, keys.size());
    for (const auto& key : keys) text += "\n  " + key;
  };
  add("ignored", ignored);
  add("missing", missing);
  add("unexpected", unexpected);
  add("mis-shaped", misshaped);
  return text + "\n";
}

TensorMap state_dict(const torch::nn::Module& module) {
  TensorMap state;
  for (const auto& item : module.named_parameters()) state[item.key()] = item.value().detach();
  for (const auto& item : module.named_buffers()) state[item.key()] = item.value().detach();
  std::erase_if(state, [](const auto& item) { return !item.second.defined(); });
  return state;
}

int64_t count_parameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) count += parameter.numel();
  return count;
}

LoadReport compare_state(const torch::nn::Module& module, const TensorMap& tensors, const LoadPolicy& policy) {
  return compare(state_dict(module), tensors, policy);
}

LoadReport load_state(torch::nn::Module& module, const TensorMap& tensors, const LoadPolicy& policy) {
  auto state = state_dict(module);
  auto report = compare(state, tensors, policy);
  if ((!report.missing.empty() && !policy.allow_missing) || (!report.unexpected.empty() && !policy.allow_unexpected) ||
      (!report.misshaped.empty() && !policy.allow_misshaped)) {
    throw core::Error(fmt::format("{}: doesn't fit the model: {}", policy.source, report.summary()));
  }
  const c10::NoGradGuard no_grad;
  for (const auto& key : report.matched) state.at(key).copy_(tensors.at(key));
  return report;
}

}  // namespace codmoe::nn
