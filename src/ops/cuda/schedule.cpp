#include "schedule.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "moe_launch.h"
#include "most_blocks.h"
#include "tiling.h"

namespace codmoe::ops::cuda {

namespace {

/// 128-byte steps of the inner dimension.
int stages(const Conv& conv, Math math) {
  return ceil_div(conv.kernel * conv.kernel * conv.in * element_bytes(math), kStageBytes);
}

int attention_chunks(const Layer& layer) {
  return ceil_div(layer.shape.positions, attention_positions(element_bytes(layer.math)));
}

void add_conv_tasks(const Layer& layer, int cols, int e, int c, std::vector<Task>& tasks) {
  const Conv& conv = layer.experts[e].convs[c];
  const int total = stages(conv, layer.math);
  const int parts = ceil_div(total, longest_part(layer.shape.batch));
  const int part_stages = ceil_div(total, parts);
  for (int first = 0; first < conv.out; first += cols) {
    tasks.push_back({TaskKind::convolution, e, c, first, ceil_div(total, part_stages), part_stages,
                     ceil_div(layer.shape.positions, kTileRows) * ceil_div(total, part_stages)});
  }
}

/// Rough duration, in stages of a convolution.
int cost(const Task& task) {
  switch (task.kind) {
    case TaskKind::attention:
    case TaskKind::gate:
      return 20;
    case TaskKind::values:
    case TaskKind::stencil:
      return 10;
    default:
      return task.part_stages;
  }
}

Schedule make_schedule(const Layer& layer, std::vector<Task> tasks) {
  const auto order = [](const Task& task) { return std::pair(task.parts > 1, cost(task)); };
  std::ranges::stable_sort(tasks, std::greater<>(), order);
  Schedule schedule;
  if (tasks.size() > kMaxTasks) {
    schedule.count = -1;
    return schedule;
  }
  schedule.count = static_cast<int>(tasks.size());
  std::ranges::copy(tasks, schedule.tasks);
  schedule.blocks = most_blocks(layer.shape, tasks);
  std::erase_if(tasks, [](const Task& task) { return task.parts == 1; });
  schedule.split_blocks = most_blocks(layer.shape, tasks);
  return schedule;
}

}  // namespace

int longest_part(int batch) { return std::clamp(6 + batch, 8, 40); }

int tile_cols(int width) {
  int best = 0, best_padded = 0;
  for (const int cols : {40, 64, 72, 80}) {
    const int padded = ceil_div(width, cols) * cols;
    if (best == 0 || padded <= best_padded) {
      best = cols;
      best_padded = padded;
    }
  }
  return best;
}

Schedule prepare_schedule(const Layer& layer, int cols) {
  std::vector<Task> tasks;
  for (int e = 0; e < layer.shape.experts; ++e) {
    const Expert& expert = layer.experts[e];
    for (int c = 0; c < expert.conv_count; ++c) {
      if (expert.convs[c].source < 0) add_conv_tasks(layer, cols, e, c, tasks);
    }
    if (expert.stencil != Stencil::none) {
      const int chunks = layer.shape.channels * element_bytes(layer.math) / 16;
      const int strips = ceil_div(layer.shape.height, kStrip) * layer.shape.width;
      tasks.push_back({TaskKind::stencil, e, 0, 0, 1, 0, ceil_div(strips * chunks, kThreads)});
    }
    if (expert.attention.heads > 0) tasks.push_back({TaskKind::attention, e, 0, 0, 1, 0, attention_chunks(layer)});
    if (expert.gate.hidden > 0) tasks.push_back({TaskKind::gate, e, 0, 0, 1, 0, 1});
  }
  return make_schedule(layer, std::move(tasks));
}

Schedule branch_schedule(const Layer& layer, int cols) {
  std::vector<Task> tasks;
  for (int e = 0; e < layer.shape.experts; ++e) {
    const Expert& expert = layer.experts[e];
    for (int c = 0; c < expert.conv_count; ++c) {
      if (expert.convs[c].source >= 0) add_conv_tasks(layer, cols, e, c, tasks);
    }
    if (expert.attention.heads > 0) {
      tasks.push_back({TaskKind::values, e, 0, 0, 1, 0, kHeads});
    }
  }
  return make_schedule(layer, std::move(tasks));
}

namespace {

Scratch lay_out(const Layer& layer, const Plan& plan) {
  const Shape& shape = layer.shape;
  const auto slots = static_cast<std::size_t>(shape.slots), channels = static_cast<std::size_t>(shape.channels);
  const auto split = static_cast<std::size_t>(std::max(plan.prepare.split_blocks, plan.branches.split_blocks));
  Scratch scratch;
  const auto place = [&](std::size_t bytes) {
    const std::size_t at = scratch.bytes;
    scratch.bytes += (bytes + 255) / 256 * 256;
    return at;
  };
  const auto positions = static_cast<std::size_t>(shape.positions);
  scratch.maps = place(slots * kSlotMaps * positions * channels * static_cast<std::size_t>(element_bytes(layer.math)));
  const auto chunks = static_cast<std::size_t>(attention_chunks(layer));
  scratch.folded = place(slots * kHeads * channels * sizeof(float));
  scratch.sums = place(slots * chunks * kHeads * channels * sizeof(float));
  scratch.totals = place(slots * chunks * kHeads * 2 * sizeof(float));
  scratch.vectors = place(slots * channels * sizeof(float));
  const auto cols = static_cast<std::size_t>(ceil_div(plan.cols, 16) * 16);  // two warps share them in whole eights
  scratch.partials = place(split * kTileRows * cols * sizeof(float));
  scratch.counters = place(split * sizeof(int));
  scratch.pooled = place(static_cast<std::size_t>(shape.batch) * kPoolSplits * channels * sizeof(float));
  return scratch;
}

}  // namespace

Plan make_plan(const Layer& layer) {
  Plan plan;
  plan.cols = tile_cols(layer.shape.channels / 4);
  plan.prepare = prepare_schedule(layer, plan.cols);
  plan.branches = branch_schedule(layer, plan.cols);
  plan.scratch = lay_out(layer, plan);
  return plan;
}

cudaError_t launch_forward(const Layer& layer, const Plan& plan, cudaStream_t stream) {
  if (plan.prepare.count < 0 || plan.branches.count < 0) return cudaErrorInvalidConfiguration;
  const int counters = std::max(plan.prepare.split_blocks, plan.branches.split_blocks);
  if (const auto error = launch_router(layer, plan.scratch, counters, stream)) return error;
  switch (layer.math) {
    case Math::bfloat16:
      return launch_bfloat16(layer, plan, stream);
    case Math::tf32:
      return launch_tf32(layer, plan, stream);
    case Math::float32:
      return launch_float32(layer, plan, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace codmoe::ops::cuda
