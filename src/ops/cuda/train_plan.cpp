#include <algorithm>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <utility>
#include <vector>

#include "most_blocks.h"
#include "schedule.h"
#include "train_tasks.h"

namespace codmoe::ops::cuda {

namespace {

/// With so many blocks long sums are not cut: the multiprocessors are busy, and parts cost memory.
constexpr int kEnoughBlocks = 4096, kUncut = 1 << 20;

class Planner {
 public:
  Planner(const Training& training, TrainPlan& plan) : training_(training), plan_(plan) {}

  bool make() {
    plan_.cols = tile_cols(training_.shape.channels / 4);
    for (int e = 0; e < training_.shape.experts; ++e) {
      if (training_.experts[e].heads == 0) add_expert(e);
    }
    return finish(prepare_, plan_.prepare) && finish(branches_, plan_.branches) && finish(fusion_, plan_.fusion) &&
           finish(fusion_back_, plan_.fusion_back) && finish(branches_back_, plan_.branches_back) &&
           finish(reduce_back_, plan_.reduce_back) && finish_weights();
  }

 private:
  const TrainExpert& expert(int e) const { return training_.experts[e]; }
  const Parameter& parameter(int index) const { return training_.parameters[index]; }
  int packed(int index) const { return index < 0 ? -1 : parameter(index).packed; }

  ProductTask task(int e, int out, int target, int target_channel) const {
    ProductTask made;
    made.expert = e;
    made.out = out;
    made.target = target;
    made.target_channel = target_channel;
    made.blocks = ceil_div(training_.shape.positions, kTileRows) * ceil_div(out, plan_.cols);
    return made;
  }

  Segment forward_segment(const TrainConv& conv) const {
    return {packed(conv.weight), conv.in, conv.kernel, conv.dilation, conv.source, conv.source_channel};
  }

  /// The convolution that brings the gradient in `map` to what `conv` read.
  Segment back_segment(const TrainConv& conv, int map) const {
    return {parameter(conv.weight).reversed, conv.out, conv.kernel, conv.dilation, map, conv.target_channel};
  }

  void add_expert(int e) {
    const auto& all = expert(e);
    for (int c = 0; c < all.conv_count; ++c) add_forward(e, all.convs[c]);
    add_fusion(e);
    add_branches_back(e);
    add_weights(e);
  }

  /// Whether another convolution of the expert reads its result.
  static bool feeds(const TrainConv& conv) { return conv.target != kFused; }
  static bool reads_input(const TrainConv& conv) { return conv.source == kInput; }

  void add_forward(int e, const TrainConv& conv) {
    auto made = task(e, conv.out, feeds(conv) ? conv.target : kBranches, conv.target_channel);
    made.segments[made.segment_count++] = forward_segment(conv);
    made.bias = packed(conv.bias);
    if (conv.norm >= 0) made.finish = Finish::statistics;
    (reads_input(conv) ? prepare_ : branches_).push_back(made);
  }

  void add_fusion(int e) {
    const auto& conv = expert(e).fusion;
    auto forward = task(e, conv.out, kFusion, 0);
    forward.segments[forward.segment_count++] = forward_segment(conv);
    forward.bias = packed(conv.bias);
    forward.area = 1;
    if (conv.norm >= 0) forward.finish = Finish::statistics;
    fusion_.push_back(forward);

    auto back = task(e, conv.in, kBranchGradient, 0);
    back.segments[back.segment_count++] = back_segment(conv, kFusionGradient);
    back.finish = Finish::gradient;
    back.before = kBranches;
    back.gelu = true;
    back.gated = expert(e).hidden > 0;
    back.norm = expert(e).convs[expert(e).conv_count - 1].norm;
    fusion_back_.push_back(back);
  }

  /// A product that sums what the branches reading these sources give back, in this order; zeros where there are none.
  ProductTask branches_back(int e, int target, std::initializer_list<int> sources) const {
    const auto& all = expert(e);
    auto made = task(e, training_.shape.channels, target, 0);
    for (const int source : sources) {
      for (int c = 0; c < all.conv_count; ++c) {
        const auto& conv = all.convs[c];
        if (conv.source != source || feeds(conv)) continue;
        made.segments[made.segment_count++] = back_segment(conv, kBranchGradient);
      }
    }
    return made;
  }

  /// Bands come back to x as box3(low + mid - high) - box5(mid) + high.
  void add_bands_back(int e) {
    constexpr int low = kOwn, mid = kOwn + 1, high = kOwn + 2;
    auto sum = branches_back(e, kOwnGradient, {high, low, mid});
    const int negative = branches_back(e, kOwnGradient, {high}).segment_count;
    if (negative > 0) sum.segments[negative - 1].negates = true;
    branches_back_.push_back(sum);
    branches_back_.push_back(branches_back(e, kOwnGradient + 1, {mid}));
    branches_back_.push_back(branches_back(e, kInputGradient, {high, kInput}));
  }

  void add_edges_back(int e) {
    for (int map = 0; map < 3; ++map) branches_back_.push_back(branches_back(e, kOwnGradient + map, {kOwn + map}));
    branches_back_.push_back(branches_back(e, kInputGradient, {kInput}));
  }

  /// Hybrid's branch, through the norm of what it read.
  void add_depthwise_back(int e) {
    auto made = branches_back(e, kOwnGradient, {kOwn});
    made.area = 1;
    made.finish = Finish::gradient;
    made.norm = 0;
    made.before = kOwn + 1;
    branches_back_.push_back(made);
  }

  /// Branches that read x, and those that read the results of other convolutions, whose biases need the sums.
  void add_plain_back(int e) {
    const auto& all = expert(e);
    auto reduce = task(e, training_.shape.channels, kInputGradient, 0);
    for (int c = 0; c < all.conv_count; ++c) {
      const auto& conv = all.convs[c];
      if (feeds(conv)) {
        reduce.segments[reduce.segment_count++] = back_segment(conv, kOwnGradient);
      } else if (!reads_input(conv)) {
        auto made = task(e, conv.in, kOwnGradient, conv.source_channel);
        made.segments[made.segment_count++] = back_segment(conv, kBranchGradient);
        made.area = 1;
        made.finish = Finish::sums;
        branches_back_.push_back(made);
      }
    }
    if (reduce.segment_count > 0) {
      reduce_back_.push_back(reduce);
    } else {
      branches_back_.push_back(branches_back(e, kInputGradient, {kInput}));
    }
  }

  void add_branches_back(int e) {
    switch (expert(e).stencil) {
      case Stencil::bands:
        return add_bands_back(e);
      case Stencil::edges:
        return add_edges_back(e);
      case Stencil::depthwise:
        return add_depthwise_back(e);
      case Stencil::none:
        return add_plain_back(e);
    }
  }

  void add_weights(int e) {
    const auto& all = expert(e);
    for (int c = 0; c < all.conv_count; ++c) {
      const auto& conv = all.convs[c];
      add_weight(e, conv, feeds(conv) ? kOwnGradient : kBranchGradient);
    }
    add_weight(e, all.fusion, kFusionGradient);
  }

  void add_weight(int e, const TrainConv& conv, int gradient) {
    WeightTask made;
    made.expert = e;
    made.parameter = conv.weight;
    made.in = conv.in;
    made.out = conv.out;
    made.kernel = conv.kernel;
    made.dilation = conv.dilation;
    made.source = conv.source;
    made.source_channel = conv.source_channel;
    made.gradient = gradient;
    made.gradient_channel = conv.target_channel;
    made.tiles = ceil_div(conv.kernel * conv.kernel * conv.in, kTileRows) * ceil_div(conv.out, plan_.cols);
    weights_.push_back(made);
  }

  /// 128-byte steps of the inner dimension, each segment's in whole ones.
  int stages(const ProductTask& task) const {
    int total = 0;
    for (int s = 0; s < task.segment_count; ++s) {
      const auto& segment = task.segments[s];
      total += ceil_div(segment.kernel * segment.kernel * segment.in * element_bytes(training_.math), kStageBytes);
    }
    return total;
  }

  /// Long sums are cut, since at most batches few blocks have them and the others would wait. A negated one stays
  /// whole.
  void split(ProductTask& task, int longest) const {
    const int total = stages(task);
    const bool negates = task.segment_count > 1 && std::ranges::any_of(task.segments, &Segment::negates);
    task.parts = negates ? 1 : std::max(1, ceil_div(total, longest));
    task.part_stages = ceil_div(total, task.parts);
    if (task.part_stages > 0) task.parts = ceil_div(total, task.part_stages);
    task.blocks *= task.parts;
  }

  bool finish(std::vector<ProductTask> tasks, ProductList& list) const {
    if (tasks.size() > kMaxProducts) return false;
    const int longest =
        most_blocks(training_.shape, tasks) < kEnoughBlocks ? longest_part(training_.shape.batch) : kUncut;
    for (auto& task : tasks) split(task, longest);
    const auto order = [](const ProductTask& task) { return std::pair(task.parts > 1, task.part_stages); };
    std::ranges::stable_sort(tasks, std::greater<>(), order);
    list.count = static_cast<int>(tasks.size());
    std::ranges::copy(tasks, list.tasks);
    list.blocks = most_blocks(training_.shape, tasks);
    std::erase_if(tasks, [](const ProductTask& task) { return task.parts == 1; });
    list.split_blocks = most_blocks(training_.shape, tasks);
    return true;
  }

  bool finish_weights() const {
    auto& list = plan_.weights;
    if (weights_.size() > std::size(list.tasks)) return false;
    list.count = static_cast<int>(weights_.size());
    std::ranges::copy(weights_, list.tasks);
    constexpr int most_parts = 8;
    list.slots_a_part = std::max(8, ceil_div(training_.shape.batch, most_parts));
    int tiles = 0;
    for (const auto& task : weights_) tiles += task.tiles;
    list.blocks = tiles * ceil_div(training_.shape.batch, list.slots_a_part);
    return true;
  }

  const Training& training_;
  TrainPlan& plan_;
  std::vector<ProductTask> prepare_, branches_, fusion_, fusion_back_, branches_back_, reduce_back_;
  std::vector<WeightTask> weights_;
};

/// Places arrays one after the other, each at a multiple of 256 bytes.
class Layout {
 public:
  std::size_t place(std::size_t bytes) {
    const std::size_t at = size_;
    size_ += (bytes + 255) / 256 * 256;
    return at;
  }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
};

struct Sizes {
  std::size_t slots, batch, positions, channels, experts, element, row_tiles, walks, chunks;

  explicit Sizes(const Training& training)
      : slots(static_cast<std::size_t>(training.shape.slots)),
        batch(static_cast<std::size_t>(training.shape.batch)),
        positions(static_cast<std::size_t>(training.shape.positions)),
        channels(static_cast<std::size_t>(training.shape.channels)),
        experts(static_cast<std::size_t>(training.shape.experts)),
        element(static_cast<std::size_t>(element_bytes(training.math))),
        row_tiles(static_cast<std::size_t>(ceil_div(training.shape.positions, kTileRows))),
        walks(static_cast<std::size_t>(cuda::walks(training.shape))),
        chunks(static_cast<std::size_t>(
            ceil_div(training.shape.positions, attention_positions(element_bytes(training.math))))) {}
};

void lay_out_saved(const Training& training, const Sizes& n, TrainingMemory& memory) {
  std::size_t weights = 0, vectors = 0;
  for (int p = 0; p < training.parameter_count; ++p) {
    const auto& parameter = training.parameters[p];
    const auto size = static_cast<std::size_t>(parameter.out) * static_cast<std::size_t>(parameter.in * parameter.taps);
    std::size_t& end = parameter.vector ? vectors : weights;
    end = std::max(end, size + static_cast<std::size_t>(parameter.reversed));
  }
  Layout layout;
  memory.weights = layout.place(weights * n.element);
  memory.vectors = layout.place(vectors * sizeof(float));
  memory.maps = layout.place(n.slots * kSavedMaps * n.positions * n.channels * n.element);
  memory.statistics = layout.place(n.experts * kNorms * 3 * n.channels * sizeof(float));
  memory.norms = layout.place(n.experts * kNorms * n.channels * sizeof(float4));
  memory.folded = layout.place(n.slots * kHeads * n.channels * sizeof(float));
  memory.sums = layout.place(n.slots * n.chunks * kHeads * n.channels * sizeof(float));
  memory.totals = layout.place(n.slots * n.chunks * kHeads * 2 * sizeof(float));
  memory.answers = layout.place(n.slots * n.channels * sizeof(float));
  memory.projected = layout.place(n.slots * n.channels * sizeof(float));
  memory.second = layout.place(n.batch * n.channels * sizeof(float));
  memory.saved_bytes = layout.size();
}

int most_split(std::initializer_list<const ProductList*> lists) {
  int most = 0;
  for (const auto* list : lists) most = std::max(most, list->split_blocks);
  return most;
}

/// Of a tile in float, with room for whole warps' sums.
std::size_t tile_floats(const TrainPlan& plan) {
  return static_cast<std::size_t>(kTileRows) * static_cast<std::size_t>(ceil_div(plan.cols, 16) * 16);
}

/// What both directions have at the same offsets, and parts for `split_blocks`.
Layout lay_out_shared(const TrainPlan& plan, const Sizes& n, int split_blocks, TrainingMemory& memory) {
  const auto most = static_cast<std::size_t>(std::max(memory.forward_splits, memory.backward_splits));
  Layout layout;
  memory.column_sums = layout.place(n.slots * n.row_tiles * kAreas * n.channels * sizeof(float2));
  memory.counters = layout.place(most * sizeof(int));
  memory.parts = layout.place(static_cast<std::size_t>(split_blocks) * tile_floats(plan) * sizeof(float));
  return layout;
}

void lay_out_forward(const TrainPlan& plan, const Sizes& n, TrainingMemory& memory) {
  auto layout = lay_out_shared(plan, n, memory.forward_splits, memory);
  memory.pooled = layout.place(n.batch * kPoolSplits * n.channels * sizeof(float2));
  memory.forward_bytes = layout.size();
}

void lay_out_backward(const Training& training, const TrainPlan& plan, const Sizes& n, TrainingMemory& memory) {
  const auto bands = static_cast<std::size_t>(ceil_div(training.shape.height, kBandRows));
  auto layout = lay_out_shared(plan, n, memory.backward_splits, memory);
  memory.gradients = layout.place(n.slots * kGradientMaps * n.positions * n.channels * n.element);
  memory.means = layout.place(n.experts * kNorms * n.channels * sizeof(float2));
  memory.received = layout.place(n.slots * n.walks * n.channels * sizeof(float2));
  memory.mixing = layout.place(n.slots * n.walks * sizeof(float));
  memory.depthwise = layout.place(n.slots * bands * kDepthwiseTaps * n.channels * sizeof(float));
  const auto attention =
      attention_vector_floats(training.shape.channels, training.shape.positions, static_cast<int>(n.chunks));
  const auto gate = gate_vector_floats(training.shape.channels, training.shape.channels / 4);
  memory.slot_floats = static_cast<std::size_t>((std::max(attention, gate) + 3) / 4 * 4);
  memory.slot_vectors = layout.place(n.slots * memory.slot_floats * sizeof(float));
  memory.weights_gradient = layout.place(n.slots * sizeof(float));
  memory.logits_gradient = layout.place(n.batch * n.experts * sizeof(float));
  memory.mean_gradient = layout.place(n.batch * n.channels * sizeof(float));
  memory.backward_bytes = layout.size();
}

}  // namespace

bool make_train_plan(const Training& training, TrainPlan& plan) {
  if (!Planner(training, plan).make()) return false;
  const Sizes sizes(training);
  plan.memory.forward_splits = most_split({&plan.prepare, &plan.branches, &plan.fusion});
  plan.memory.backward_splits =
      std::max(plan.weights.blocks, most_split({&plan.fusion_back, &plan.branches_back, &plan.reduce_back}));
  lay_out_saved(training, sizes, plan.memory);
  lay_out_forward(plan, sizes, plan.memory);
  lay_out_backward(training, plan, sizes, plan.memory);
  return true;
}

}  // namespace codmoe::ops::cuda
