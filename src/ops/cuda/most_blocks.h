// Sizes of grids that serve any routes.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "fused_moe.h"

namespace codmoe::ops::cuda {

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }

/// The most blocks that a batch can need of tasks with an expert and blocks a slot: every image chooses the k experts
/// with the most.
template <class Task>
int most_blocks(const Shape& shape, const std::vector<Task>& tasks) {
  std::array<int, kMaxExperts> of{};
  for (const auto& task : tasks) of[static_cast<std::size_t>(task.expert)] += task.blocks;
  std::ranges::sort(of, std::greater<>());
  int sum = 0;
  for (int k = 0; k < shape.top_k; ++k) sum += of[static_cast<std::size_t>(k)];
  return sum * shape.batch;
}

}  // namespace codmoe::ops::cuda
