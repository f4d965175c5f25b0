#include "codmoe/engine/replay.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace codmoe::engine {

Replayer::Replayer(Kind kind, const EngineOptions& engine, c10::Device device, std::shared_ptr<core::GraphPool> pool)
    : kind_(std::move(kind)), wanted_(device.is_cuda() && engine.graph != GraphUse::off), pool_(std::move(pool)) {}

bool Replayer::run(Replay& replay, int64_t images, const std::function<void()>& work) {
  if (wanted_ && !replay.graph && replay.captures && replay.eager_calls >= kind_.eager_calls) {
    replay.graph = pool_->capture(work);
    spdlog::info("engine.graph: {} of {} images are replayed from a CUDA graph", kind_.name, images);
  }
  if (replay.graph) {
    replay.graph->replay();
    return true;
  }
  work();
  ++replay.eager_calls;
  // Asked at once: layers may run in another way before the next call.
  const auto refusal = kind_.refusal();
  replay.captures = replay.captures && refusal.empty();
  if (wanted_ && !refusal.empty() && !std::exchange(refusal_said_, true)) {
    spdlog::info("engine.graph: the {} run kernel by kernel, since {}", kind_.name, refusal);
  }
  return false;
}

std::string forward_refusal(model::DetectorImpl& model) {
  const bool waited =
      std::ranges::any_of(model.moe_layers(), [](const auto& layer) { return layer->waited_for_routes(); });
  return waited ? "this dispatch reads its routes on the host" : "";
}

WithoutWaiting::WithoutWaiting(model::DetectorImpl& model, bool on) : model_(model), on_(on) {
  if (!on_) return;
  for (auto& layer : model_.moe_layers()) layer->avoid_waiting(true);
}

WithoutWaiting::~WithoutWaiting() {
  if (!on_) return;
  for (auto& layer : model_.moe_layers()) layer->avoid_waiting(false);
}

}  // namespace codmoe::engine
