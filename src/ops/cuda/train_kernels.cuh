// Launches of the training kernels, for one kind of products.
#pragma once

#include <algorithm>

#include "train_backward.cuh"
#include "train_begin.cuh"
#include "train_launch.h"

namespace codmoe::ops::cuda {

/// One forward or backward on a stream; after an error nothing more is launched.
template <Math kMath, int kCols>
class Trainer {
  using T = typename Product<kMath>::Element;

 public:
  Trainer(const Training& training, const TrainPlan& plan, cudaStream_t stream)
      : training_(training), plan_(plan), memory_(plan.memory), stream_(stream), shape_(training.shape) {
    for (int e = 0; e < shape_.experts; ++e) {
      depthwise_ = depthwise_ || training.experts[e].stencil == Stencil::depthwise;
      attention_ = attention_ || training.experts[e].heads > 0;
    }
  }

  cudaError_t forward() {
    begin();
    launch(route_kernel<T>, dim3(count(shape_.batch)), 0, training_, memory_);
    products(prepare_kernel<kMath, kCols>, plan_.prepare, shape_.slots * (strip_blocks<T>(shape_) + 1));
    if (depthwise_)
      launch(measure_kernel<T>, dim3(count(row_tiles(shape_)), count(shape_.slots)), 0, training_, memory_);
    if (depthwise_ || attention_) {
      check(finish_statistics(training_, memory_, 0, NormPhase::early, stream_));
      launch(early_kernel<T>, pieces(kHeads, shape_.slots), 0, training_, memory_);
    }
    products(branches_kernel<kMath, kCols>, plan_.branches, attention_blocks());
    check(finish_statistics(training_, memory_, 0, NormPhase::late, stream_));
    launch(activate_kernel<T>, pieces(kHeads, shape_.slots), 0, training_, memory_);
    products(fusion_kernel<kMath, kCols>, plan_.fusion, shape_.slots * shape_.channels / kProjectRows);
    check(finish_statistics(training_, memory_, 1, NormPhase::late, stream_));
    launch(mix_kernel<T>, dim3(count((shape_.positions + kMixRows - 1) / kMixRows), count(shape_.batch)),
           shape_.top_k * static_cast<int>(sizeof(Mixed<T>)), training_, memory_);
    return error_;
  }

  cudaError_t backward() {
    launch(receive_kernel<T>, pieces(kHeads, shape_.slots), 0, training_, memory_);
    check(finish_gradients(training_, memory_, BackPhase::fusion, stream_));
    launch(enter_kernel<T>, pieces(kHeads + 1, shape_.slots), 0, training_, memory_);
    products(fusion_back_kernel<kMath, kCols>, plan_.fusion_back, attention_blocks());
    check(finish_gradients(training_, memory_, BackPhase::branches, stream_));
    launch(leave_kernel<T>, pieces(kHeads, shape_.slots), 0, training_, memory_);
    products(branches_back_kernel<kMath, kCols>, plan_.branches_back, shape_.experts * shape_.channels / kNormChannels);
    check(finish_gradients(training_, memory_, BackPhase::own, stream_));
    products(own_back_kernel<kMath, kCols>, plan_.reduce_back, shape_.slots * own_pieces<T>(shape_));
    const int bands = depthwise_ ? band_blocks(shape_, 5) : 0;
    launch(input_kernel<T>, dim3(count(strip_blocks<T>(shape_) * shape_.batch + bands * shape_.slots)), 0, training_,
           memory_, bands);
    weights();
    return error_;
  }

 private:
  static unsigned count(int value) { return static_cast<unsigned>(value); }
  void check(cudaError_t error) {
    if (error_ == cudaSuccess) error_ = error;
  }

  template <class... Parameters, class... Arguments>
  void launch(void (*kernel)(Parameters...), dim3 grid, int shared_bytes, const Arguments&... arguments) {
    if (error_ != cudaSuccess) return;
    if (shared_bytes > 48 << 10)
      check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
    if (error_ == cudaSuccess) check(launch_after(kernel, grid, kThreads, shared_bytes, stream_, arguments...));
  }

  /// Walks and more pieces of each of `of` slots or images.
  dim3 pieces(int more, int of) const { return {count(walks(shape_) + more), count(of)}; }
  int attention_blocks() const { return attention_ ? shape_.slots * attention_chunks<T>(shape_) : 0; }

  static_assert(product_bytes<kMath>(kCols) <= kSharedBytes &&
                softmax_gradient_bytes<T>(kMaxChannels) <= kSharedBytes && weight_bytes<kMath>(kCols) <= kSharedBytes);

  template <class... Parameters>
  void products(void (*kernel)(Parameters...), const ProductList& list, int extra) {
    if (list.blocks + extra == 0) return;
    const int bytes = std::max(product_bytes<kMath>(kCols), softmax_gradient_bytes<T>(shape_.channels));
    launch(kernel, dim3(count(list.blocks + extra)), bytes, training_, list, memory_);
  }

  /// Not launched early: its memory may still be in use by what came before.
  void begin() {
    const int blocks = shape_.batch * kPoolSplits + training_.tile_count;
    begin_kernel<T><<<count(blocks), kThreads, 0, stream_>>>(training_, memory_);
    check(cudaGetLastError());
  }

  void weights() {
    int blocks = plan_.weights.blocks + shape_.channels / kRouterChannels;
    for (int e = 0; e < shape_.experts; ++e) blocks += vector_blocks(training_.experts[e], shape_.channels);
    launch(weights_kernel<kMath, kCols>, dim3(count(blocks)), weight_bytes<kMath>(kCols), training_, plan_.weights,
           memory_);
  }

  const Training& training_;
  const TrainPlan& plan_;
  const TrainingMemory& memory_;
  cudaStream_t stream_;
  const Shape& shape_;
  bool depthwise_ = false, attention_ = false;
  cudaError_t error_ = cudaSuccess;
};

/// Calls run with the Trainer of the plan's tile width.
template <Math kMath, class Run>
cudaError_t with_cols(const Training& training, const TrainPlan& plan, cudaStream_t stream, Run&& run) {
  switch (plan.cols) {
    case 40:
      return run(Trainer<kMath, 40>(training, plan, stream));
    case 64:
      return run(Trainer<kMath, 64>(training, plan, stream));
    case 72:
      return run(Trainer<kMath, 72>(training, plan, stream));
    case 80:
      return run(Trainer<kMath, 80>(training, plan, stream));
    default:
      return cudaErrorInvalidValue;
  }
}

template <Math kMath>
cudaError_t train_forward(const Training& training, const TrainPlan& plan, cudaStream_t stream) {
  return with_cols<kMath>(training, plan, stream, [](auto trainer) { return trainer.forward(); });
}

template <Math kMath>
cudaError_t train_backward(const Training& training, const TrainPlan& plan, cudaStream_t stream) {
  return with_cols<kMath>(training, plan, stream, [](auto trainer) { return trainer.backward(); });
}

}  // namespace codmoe::ops::cuda
