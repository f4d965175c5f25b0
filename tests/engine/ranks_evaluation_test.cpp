// A dataset evaluated by several ranks, beside one that has all of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <mutex>

#include "codmoe/data/synth.h"
#include "codmoe/engine/predictor.h"
#include "small_run.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

report::Evaluation evaluate(const data::Dataset& dataset, const Ranks& ranks, std::vector<int64_t>& heard) {
  static std::mutex mutex;  // LibTorch's generator belongs to all threads
  auto options = testing::small_options("");
  const auto model = [&] {
    const std::scoped_lock lock(mutex);
    at::manual_seed(5);
    return model::Detector(options.model);
  }();
  Predictor predictor(model, c10::kCPU, 64, options.engine);
  report::EvaluationOptions evaluation_options;
  evaluation_options.threads = 2;
  report::Evaluation evaluation("run", evaluation_options);
  evaluate_dataset(
      predictor, "set", dataset, 2, evaluation, [&](int64_t done) { heard.push_back(done); }, ranks);
  return evaluation;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

TEST(RanksEvaluate, WhatOneWould) {
  const test::TemporaryFolder folder;
  data::write_synth(folder / "data", {.count = 7, .size = 48, .seed = 3});
  const data::Dataset dataset({folder / "data", {}});
  std::vector<int64_t> heard;
  const auto expected = evaluate(dataset, {}, heard);
  EXPECT_EQ(heard, (std::vector<int64_t>{2, 4, 6, 7}));
  for (const int64_t count : {2, 3}) {
    test::run_ranks(count, [&](dist::Group& group) {
      std::vector<int64_t> heard_of_ranks;
      const auto actual = evaluate(dataset, Ranks(group), heard_of_ranks);
      if (!group.leads()) {
        EXPECT_TRUE(heard_of_ranks.empty());
        return;
      }
      const auto &images = actual.dataset("set").images(), &all = expected.dataset("set").images();
      ASSERT_EQ(images.size(), all.size());
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_EQ(images[i].item.name, all[i].item.name);
        EXPECT_TRUE(std::ranges::equal(images[i].values, all[i].values, same)) << i;
        ASSERT_EQ(images[i].expert_use.size(), 1U);
        EXPECT_EQ(images[i].expert_use[0].weight, all[i].expert_use[0].weight);
      }
      EXPECT_EQ(heard_of_ranks, count == 2 ? (std::vector<int64_t>{4, 7}) : (std::vector<int64_t>{6, 7}));
    });
  }
}

TEST(RanksOfARun, TellWhatTheLeaderKnows) {
  test::run_ranks(3, [](dist::Group& group) {
    const Ranks ranks(group);
    EXPECT_EQ(ranks.share(ranks.leads() ? core::Json{{"IoU", 0.1 + 0.2}} : core::Json()),
              core::Json({{"IoU", 0.1 + 0.2}}));
    EXPECT_EQ(ranks.sum(ranks.rank()), 3);
    EXPECT_TRUE(ranks.ask_leader([&] { return ranks.leads(); }));
    EXPECT_FALSE(ranks.ask_leader([&] { return !ranks.leads(); }));
  });
  const Ranks alone;
  EXPECT_EQ(alone.sum(7), 7);
  EXPECT_TRUE(alone.ask_leader([] { return true; }));
}

}  // namespace
}  // namespace codmoe::engine
