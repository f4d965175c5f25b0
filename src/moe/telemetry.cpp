#include "codmoe/moe/telemetry.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "codmoe/dist/shared_statistics.h"

namespace codmoe::moe {

namespace {

template <class T>
std::vector<double> on_host(const at::Tensor& values) {
  const auto host = values.cpu().contiguous();
  return {host.const_data_ptr<T>(), host.const_data_ptr<T>() + host.numel()};
}

/// A copy that holds what all ranks counted, where loads are theirs.
at::Tensor over_ranks(const at::Tensor& counted) {
  auto* group = dist::SharedStatistics::of_loads();
  if (group == nullptr) return counted;
  auto total = counted.clone();
  group->sum(total);
  return total;
}

std::vector<double> shares(std::vector<double> sums) {
  const double total = std::max(std::accumulate(sums.begin(), sums.end(), 0.0), 1e-12);
  for (auto& sum : sums) sum /= total;
  return sums;
}

double coefficient_of_variation(const std::vector<double>& load) {
  const auto mean = std::accumulate(load.begin(), load.end(), 0.0) / static_cast<double>(load.size());
  double squares = 0.0;
  for (const auto share : load) squares += (share - mean) * (share - mean);
  return mean > 0 ? std::sqrt(squares / static_cast<double>(load.size())) / mean : 0.0;
}

/// [B, n, ...] -> [B, n], the mean over positions.
at::Tensor per_image(const at::Tensor& values) {
  return values.reshape({values.size(0), values.size(1), values.numel() / (values.size(0) * values.size(1))}).mean(2);
}

}  // namespace

void LoadMeter::add(const Routing& routing) {
  const at::NoGradGuard no_grad;
  const auto probs = routing.probs.detach();
  if (!counts_e_.defined()) {
    counts_e_ = at::zeros({routing.experts()}, routing.indices.options());
    sums_2e_ = at::zeros({2, routing.experts()}, probs.options().dtype(at::kDouble));
  }
  std::vector<int64_t> all_but_experts(static_cast<std::size_t>(probs.dim()) - 1, 1);
  std::iota(all_but_experts.begin() + 1, all_but_experts.end(), 3);
  const auto batch_2e = at::stack({probs, at::special_entr(probs)}).sum(all_but_experts);
  const auto total = batch_2e.sum();
  const auto is_number = at::eq(total, total);  // one NaN makes the total NaN, which equals nothing
  sums_2e_.add_(at::where(is_number, batch_2e, 0.0));
  const auto indices = routing.indices.flatten();
  counts_e_.scatter_add_(0, indices, is_number.to(at::kLong).expand_as(indices));
  top_k_ = routing.top_k();
}

LoadReport LoadMeter::take() {
  auto report = read();
  if (counts_e_.defined()) {
    counts_e_.zero_();
    sums_2e_.zero_();
  }
  return report;
}

LoadReport LoadMeter::read() const {
  if (!counts_e_.defined()) return {};
  const auto counts = on_host<int64_t>(over_ranks(counts_e_));
  const auto sums = on_host<double>(over_ranks(sums_2e_));
  LoadReport report;
  // Not counted on the host, which a replayed graph doesn't pass.
  report.decisions = static_cast<int64_t>(std::accumulate(counts.begin(), counts.end(), 0.0)) / top_k_;
  if (report.decisions == 0) return {};
  const auto entropies = sums.begin() + static_cast<std::ptrdiff_t>(counts.size());
  report.load = shares(counts);
  report.probability = shares({sums.begin(), entropies});
  report.entropy = std::accumulate(entropies, sums.end(), 0.0) / static_cast<double>(report.decisions);
  report.cv = coefficient_of_variation(report.load);
  report.dead = std::ranges::count(counts, 0.0);
  return report;
}

ImageChoices image_choices(const Routing& routing) {
  const at::NoGradGuard no_grad;
  const auto none = at::zeros_like(routing.probs);
  return {.share_be = per_image(none.scatter(1, routing.indices, 1.0)),
          .weight_be = per_image(none.scatter(1, routing.indices, routing.weights.detach()))};
}

std::vector<std::string> expert_labels(const std::vector<std::string>& pool) {
  std::map<std::string, int> seen;
  std::vector<std::string> labels;
  for (const auto& name : pool) {
    const auto number = ++seen[name];
    labels.push_back(number == 1 ? name : fmt::format("{}.{}", name, number));
  }
  return labels;
}

}  // namespace codmoe::moe
