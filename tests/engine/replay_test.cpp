#include "codmoe/engine/replay.h"

#include <gtest/gtest.h>

#include "small_run.h"
#include "support/log_capture.h"

namespace codmoe::engine {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);  // that none of this touches

struct Calls {
  int64_t work = 0;
  bool replayed = false;
};

/// Runs a piece of work five times.
Calls run_five(Replayer& replayer, Replay& replay) {
  Calls calls;
  for (int64_t i = 0; i < 5; ++i) calls.replayed = replayer.run(replay, 3, [&] { ++calls.work; }) || calls.replayed;
  return calls;
}

Replayer make_replayer(const std::string& refusal, GraphUse graph, c10::Device device) {
  EngineOptions engine;
  engine.graph = graph;
  return {{.name = "steps", .eager_calls = 2, .refusal = [refusal] { return refusal; }},
          engine,
          device,
          std::make_shared<core::GraphPool>(device)};
}

TEST(Replayer, RunsTheWorkEveryTimeWhereNoGraphIsWanted) {
  const test::LogCapture log;
  for (const auto& [graph, device] :
       {std::pair(GraphUse::off, kGpu), std::pair(GraphUse::automatic, c10::Device(c10::kCPU))}) {
    for (const auto* refusal : {"", "it waits"}) {
      auto replayer = make_replayer(refusal, graph, device);
      Replay replay;
      EXPECT_FALSE(replayer.wanted());
      const auto calls = run_five(replayer, replay);
      EXPECT_EQ(calls.work, 5);
      EXPECT_FALSE(calls.replayed);
    }
  }
  EXPECT_EQ(log.count("engine.graph"), 0);
}

TEST(Replayer, SaysOnceWhatCannotBeCaptured) {
  const test::LogCapture log;
  auto replayer = make_replayer("it waits", GraphUse::automatic, kGpu);
  Replay first, second;
  EXPECT_TRUE(replayer.wanted());
  EXPECT_EQ(run_five(replayer, first).work + run_five(replayer, second).work, 10);
  EXPECT_FALSE(first.captures);
  EXPECT_EQ(log.count("engine.graph: the steps run kernel by kernel, since it waits"), 1);
  EXPECT_EQ(log.count("engine.graph"), 1);
}

TEST(WithoutWaiting, ForwardsAreFreeOfHostReadsWhereTheDispatchLeavesItOpen) {
  for (const auto dispatch : {moe::Dispatch::automatic, moe::Dispatch::batched}) {
    auto options = testing::small_options("");
    options.model.moe.dispatch = dispatch;
    model::Detector model(options.model);
    model->eval();
    const at::NoGradGuard no_grad;
    const auto images = at::rand({2, 3, 64, 64});
    const auto refusal = [&](bool on) {
      const WithoutWaiting scope(*model, on);
      model->forward(images);
      return forward_refusal(*model);
    };
    EXPECT_EQ(refusal(true).empty(), dispatch == moe::Dispatch::automatic);
    EXPECT_EQ(refusal(false), "this dispatch reads its routes on the host");
  }
}

}  // namespace
}  // namespace codmoe::engine
