// Work that a run queues again and again: kernel by kernel at first, from a CUDA graph then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "codmoe/core/cuda_graph.h"
#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// One piece of work, whose inputs lie at the same addresses every time.
struct Replay {
  int64_t eager_calls = 0;
  bool captures = true;  ///< none of these did what a graph can't hold
  std::shared_ptr<core::CudaGraph> graph;
};

/// Runs pieces of work of one kind.
class Replayer {
 public:
  struct Kind {
    std::string name;                      ///< "steps", for the log
    int64_t eager_calls = 1;               ///< before the capture, in which libraries choose algorithms and allocate
    std::function<std::string()> refusal;  ///< why the work that ran last can't be captured; empty where it can
  };

  /// Graphs are captured in `pool`, on CUDA and unless engine.graph is off.
  Replayer(Kind kind, const EngineOptions& engine, c10::Device device, std::shared_ptr<core::GraphPool> pool);

  /// Whether graphs are to be captured at all.
  bool wanted() const { return wanted_; }

  /// Queues `work`, on `images` images, or replays the graph that was captured of it; says whether that. The current
  /// stream must be a core::SideStream's, and graphs of one pool wait for each other so. What can't be captured runs
  /// kernel by kernel every time, which the log says once.
  bool run(Replay& replay, int64_t images, const std::function<void()>& work);

 private:
  Kind kind_;
  bool wanted_;
  std::shared_ptr<core::GraphPool> pool_;
  bool refusal_said_ = false;
};

/// Why the model's last forward can't be part of a graph; empty where it can.
std::string forward_refusal(model::DetectorImpl& model);

/// For its lifetime MoE layers whose dispatch is `auto` take `dense` where they can't run `fused`, so that a forward
/// can be captured.
class WithoutWaiting {
 public:
  /// Does nothing unless `on`.
  WithoutWaiting(model::DetectorImpl& model, bool on);
  ~WithoutWaiting();
  WithoutWaiting(const WithoutWaiting&) = delete;
  WithoutWaiting& operator=(const WithoutWaiting&) = delete;

 private:
  model::DetectorImpl& model_;
  bool on_;
};

}  // namespace codmoe::engine
