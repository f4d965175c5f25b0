#include "codmoe/engine/validator.h"

#include <gtest/gtest.h>

#include <optional>

#include "codmoe/engine/freezing.h"
#include "gpu_run.h"
#include "small_run.h"
#include "support/cuda.h"
#include "support/temporary_folder.h"
#include "validation_set.h"

namespace codmoe::engine {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

class ValidatorGpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
    testing::validation_set(folder_ / "val");
  }

  /// Five images in batches of 2.
  TrainOptions validated(TrainOptions options) const {
    options.data.val.dir = folder_ / "val";
    options.data.loader.batch_size = 2;
    options.data.loader.size = 64;
    options.engine.val_resolution = ValResolution::network;
    return options;
  }

  struct Validations {
    std::vector<Scores> scores;
    std::vector<bool> replayed;  ///< the last batch of each
  };
  /// Of a detector whose weights change, in place, from one to the next.
  Validations validate(const TrainOptions& options) const {
    testing::GpuRun run(options);  // for the seed, and deterministic kernels
    Predictor predictor(run.model, kGpu, 64, options.engine);
    const Validator validator(options, kGpu);
    const at::NoGradGuard no_grad;
    Validations found;
    for (uint64_t i = 0; i < 4; ++i) {
      found.scores.push_back(validator.scores(predictor));
      found.replayed.push_back(predictor.replayed());
      for (auto& weight : run.model->parameters())
        weight.add_(0.02 * test::randn(weight.sizes(), i).to(weight.options()));
    }
    return found;
  }
  /// Validates with graphs and without, which is to make no difference, and returns the former.
  Validations expect_graph_changes_no_score(TrainOptions options) const {
    options.engine.graph = GraphUse::off;
    const auto eager = validate(options);
    options.engine.graph = GraphUse::automatic;
    const auto graph = validate(options);
    EXPECT_EQ(graph.scores, eager.scores);
    EXPECT_EQ(eager.replayed, std::vector<bool>(4, false));
    for (std::size_t i = 1; i < eager.scores.size(); ++i) EXPECT_NE(eager.scores[i], eager.scores[i - 1]) << i;
    return graph;
  }

  test::TemporaryFolder folder_;
};

const std::vector<bool> kReplayedFromTheSecond{false, true, true, true};

TEST_F(ValidatorGpu, NetworkScoresAreThoseOfScoreImageOnTheCpu) {
  auto options = validated(testing::small_options("unused"));
  options.model.moe.dispatch = moe::Dispatch::dense;  // as a graph's, and those of predict()
  const Validator validator(options, kGpu);
  at::manual_seed(4);
  model::Detector model(options.model);
  model->to(kGpu);
  Predictor predictor(model, kGpu, 64, options.engine);
  const auto expected = testing::plain_scores(predictor, folder_ / "val", 64, 2);
  for (const auto* way : {"eager at first", "replayed", "replayed again"}) {
    for (const auto& [name, value] : validator.scores(predictor)) {
      EXPECT_NEAR(value, expected.at(name), 1e-4) << name << ", " << way;
    }
  }
  EXPECT_TRUE(predictor.replayed());
}

TEST_F(ValidatorGpu, AGraphGivesTheSameScoresAsWeightsChange) {
  for (const auto precision : {Precision::float32, Precision::bfloat16}) {
    SCOPED_TRACE(core::name_of(precision));
    auto options = validated(testing::gpu_options(GraphUse::automatic));
    options.engine.precision = precision;
    EXPECT_EQ(expect_graph_changes_no_score(options).replayed, kReplayedFromTheSecond);
  }
}

TEST_F(ValidatorGpu, AGraphGivesTheSameScoresWithoutDeterministicKernels) {
  auto options = validated(testing::gpu_options(GraphUse::off));
  options.engine.deterministic = false;
  const auto eager = validate(options);
  options.engine.graph = GraphUse::automatic;
  const auto graph = validate(options);
  EXPECT_EQ(graph.replayed, kReplayedFromTheSecond);
  for (std::size_t i = 0; i < eager.scores.size(); ++i) {
    for (const auto& [name, value] : eager.scores[i]) EXPECT_NEAR(graph.scores[i].at(name), value, 5e-3) << name;
  }
}

TEST_F(ValidatorGpu, ADispatchThatReadsOnTheHostRunsKernelByKernel) {
  const auto options = validated(testing::gpu_options(GraphUse::automatic, moe::Dispatch::batched));
  EXPECT_EQ(expect_graph_changes_no_score(options).replayed, std::vector<bool>(4, false));
}

TEST_F(ValidatorGpu, AutoTakesDenseWhereFusedCannotRun) {
  auto options = validated(testing::gpu_options(GraphUse::automatic, moe::Dispatch::automatic));
  options.model.moe.norm = nn::NormKind::group;
  const auto automatic = validate(options);
  EXPECT_EQ(automatic.replayed, kReplayedFromTheSecond);
  options.model.moe.dispatch = moe::Dispatch::dense;
  EXPECT_EQ(expect_graph_changes_no_score(options).scores, automatic.scores);
}

/// In the steps' memory, with the averaged weights, and while the steps' own graphs come and go.
TEST_F(ValidatorGpu, BetweenReplayedStepsNeitherChangesTheOther) {
  for (const bool thaws : {false, true}) {
    SCOPED_TRACE(thaws);
    auto options = validated(testing::gpu_options(GraphUse::automatic));
    options.engine.ema.decay = 0.9;
    options.model.backbone.freeze_epochs = thaws ? 1 : 0;
    const Validator validator(options, kGpu);
    const auto train = [&](GraphUse graph, std::vector<Scores>& scores) {
      options.engine.graph = graph;
      std::optional<Predictor> predictor;
      return testing::gpu_train(options, 21, 1, [&](testing::GpuRun& run, int64_t i) {
        if (!predictor)
          predictor.emplace(run.model, kGpu, 64, options.engine, TestTimeOptions(), run.step->graph_pool());
        if (i % 7 == 0) freeze_for_epoch(*run.model, run.step->optimizer(), options.model.backbone, i / 7);
        if (i % 3 != 2) return;
        const AveragedWeights averaged(run.step->average());
        scores.push_back(validator.scores(*predictor));
        EXPECT_EQ(predictor->replayed(), graph == GraphUse::automatic && i > 2) << i;
        run.model->train();
      });
    };
    std::vector<Scores> eager_scores, graph_scores;
    const auto eager = train(GraphUse::off, eager_scores), graph = train(GraphUse::automatic, graph_scores);
    EXPECT_GT(graph.replays, 0);
    EXPECT_EQ(graph.losses, eager.losses);
    EXPECT_TRUE(test::are_equal(graph.tensors, eager.tensors));
    EXPECT_EQ(graph_scores, eager_scores);
    EXPECT_EQ(graph_scores.size(), 7U);
  }
}

}  // namespace
}  // namespace codmoe::engine
