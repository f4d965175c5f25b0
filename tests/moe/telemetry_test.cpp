#include "codmoe/moe/telemetry.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "support/tensors.h"

namespace codmoe::moe {
namespace {

Routing routing_of(std::vector<double> probs, std::vector<int64_t> indices, int64_t batch) {
  return {.logits = at::Tensor(),
          .probs = at::tensor(probs, at::kFloat).view({batch, -1}).requires_grad_(),
          .indices = at::tensor(indices, at::kLong).view({batch, -1}),
          .weights = at::Tensor()};
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6) << i;
}

TEST(LoadMeter, AveragesOverImagesNotBatches) {
  LoadMeter meter;
  meter.add(routing_of({0.5, 0.5, 0.0}, {0, 1}, 1));
  meter.add(routing_of({0.5, 0.25, 0.25, 0.0, 0.5, 0.5}, {0, 2, 1, 2}, 2));
  const auto report = meter.take();
  expect_near(report.load, {2.0 / 6, 2.0 / 6, 2.0 / 6});
  expect_near(report.probability, {1.0 / 3, 1.25 / 3, 0.75 / 3});
  EXPECT_NEAR(report.entropy, (std::log(2.0) + 1.5 * std::log(2.0) + std::log(2.0)) / 3, 1e-6);
}

TEST(LoadMeter, ShowsDeadExpertsAndUnevenLoad) {
  LoadMeter meter;
  meter.add(routing_of({0.7, 0.2, 0.1, 0.6, 0.3, 0.1}, {0, 1, 0, 1}, 2));
  const auto report = meter.take();
  expect_near(report.load, {0.5, 0.5, 0.0});
  EXPECT_EQ(report.dead, 1);
  EXPECT_NEAR(report.cv, std::sqrt(0.5), 1e-12);  // deviations 1/6, 1/6, -1/3 around 1/3
  EXPECT_EQ(report.decisions, 2);
}

/// By loops over the positions.
LoadReport slow_report(const std::vector<Routing>& batches) {
  LoadReport report;
  const auto experts = batches.front().experts();
  report.load.resize(static_cast<std::size_t>(experts));
  report.probability.resize(static_cast<std::size_t>(experts));
  double assignments = 0;
  for (const auto& batch : batches) {
    const auto probs = batch.probs.transpose(0, 1).reshape({experts, -1});
    const auto indices = batch.indices.transpose(0, 1).reshape({batch.top_k(), -1});
    for (int64_t i = 0; i < probs.size(1); ++i, ++report.decisions) {
      for (int64_t e = 0; e < experts; ++e) {
        const auto p = probs[e][i].item<double>();
        report.probability[static_cast<std::size_t>(e)] += p;
        if (p > 0) report.entropy -= p * std::log(p);
      }
      for (int64_t k = 0; k < batch.top_k(); ++k, ++assignments)
        ++report.load[static_cast<std::size_t>(indices[k][i].item<int64_t>())];
    }
  }
  for (auto& value : report.load) value /= assignments;
  for (auto& value : report.probability) value /= static_cast<double>(report.decisions);
  report.entropy /= static_cast<double>(report.decisions);
  return report;
}

Routing random_spatial(at::IntArrayRef shape_behw, int64_t top_k, uint64_t seed) {
  const auto probs = (2 * test::randn(shape_behw, seed)).to(at::kFloat).softmax(1);
  const auto [chosen, indices] = probs.topk(top_k, 1);
  return {.logits = {}, .probs = probs, .indices = indices, .weights = chosen / chosen.sum(1, true)};
}

TEST(LoadMeter, CountsEveryPositionOfSpatialRouting) {
  const std::vector<Routing> batches = {random_spatial({2, 5, 3, 4}, 2, 1), random_spatial({3, 5, 1, 7}, 2, 2)};
  LoadMeter meter;
  for (const auto& batch : batches) meter.add(batch);
  const auto expected = slow_report(batches);
  const auto report = meter.take();
  EXPECT_EQ(report.decisions, 2 * 12 + 3 * 7);
  expect_near(report.load, expected.load);
  expect_near(report.probability, expected.probability);
  EXPECT_NEAR(report.entropy, expected.entropy, 1e-6);
}

/// Names of the operators called on this thread, without those that they call, views left out.
class CalledOperators {
 public:
  CalledOperators() : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&begin, &end))) {
    names_.clear();
    depth_ = 0;
  }
  ~CalledOperators() { at::removeCallback(handle_); }
  static const std::vector<std::string>& names() { return names_; }

 private:
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function) {
    static const std::set<std::string> views = {"aten::detach", "aten::flatten", "aten::expand_as"};
    if (depth_++ == 0 && !views.contains(function.name())) names_.emplace_back(function.name());
    return nullptr;
  }
  static void end(const at::RecordFunction&, at::ObserverContext*) { --depth_; }

  static inline std::vector<std::string> names_;
  static inline int depth_ = 0;
  at::CallbackHandle handle_;
};

TEST(LoadMeter, AddsWithNineOperationsAndNoneThatWaits) {
  for (const auto& routing :
       {routing_of({0.7, 0.2, 0.1, 0.6, 0.3, 0.1}, {0, 1, 0, 1}, 2), random_spatial({2, 5, 3, 4}, 2, 1)}) {
    LoadMeter meter;
    meter.add(routing);  // makes the sums
    const CalledOperators called;
    meter.add(routing);
    EXPECT_EQ(called.names(),
              (std::vector<std::string>{"aten::special_entr", "aten::stack", "aten::sum", "aten::sum", "aten::eq",
                                        "aten::where", "aten::add_", "aten::to", "aten::scatter_add_"}));
  }
}

TEST(LoadMeter, LeavesOutABatchWithAProbabilityThatIsNaN) {
  const auto good = random_spatial({2, 5, 3, 4}, 2, 1);
  LoadMeter meter, expected;
  meter.add(good);
  expected.add(good);
  auto bad = random_spatial({2, 5, 3, 4}, 2, 2);
  bad.probs[1][3][0][2] = NAN;
  meter.add(bad);
  const auto report = meter.take();
  EXPECT_EQ(report.decisions, 2 * 12);
  expect_near(report.load, expected.read().load);
  expect_near(report.probability, expected.read().probability);
  EXPECT_EQ(report.entropy, expected.read().entropy);
  meter.add(bad);  // the first since the sums began anew
  EXPECT_EQ(meter.take().decisions, 0);
}

TEST(LoadMeter, StartsAnewAfterTake) {
  LoadMeter meter;
  meter.add(routing_of({1.0, 0.0}, {0}, 1));
  meter.take();
  EXPECT_TRUE(meter.take().load.empty());
  EXPECT_EQ(meter.take().entropy, 0.0);
  meter.add(routing_of({0.0, 1.0}, {1}, 1));
  const auto report = meter.take();
  expect_near(report.load, {0.0, 1.0});
  expect_near(report.probability, {0.0, 1.0});
}

TEST(LoadMeter, LeavesTheRoutingAsItIs) {
  LoadMeter meter;
  const auto routing = routing_of({0.75, 0.25}, {0}, 1);
  for (int i = 0; i < 3; ++i) meter.add(routing);
  EXPECT_TRUE(routing.probs.equal(at::tensor({0.75F, 0.25F}).view({1, 2})));
  expect_near(meter.take().probability, {0.75, 0.25});
}

TEST(ImageChoices, OfGlobalRoutingAreTheChosenAndTheirWeights) {
  auto routing = routing_of({0.6, 0.3, 0.1, 0.1, 0.1, 0.8}, {0, 1, 2, 0}, 2);
  routing.weights = at::tensor({0.75F, 0.25F, 0.9F, 0.1F}).view({2, 2});
  const auto choices = image_choices(routing);
  EXPECT_TRUE(choices.share_be.equal(at::tensor({1.F, 1.F, 0.F, 1.F, 0.F, 1.F}).view({2, 3})));
  EXPECT_TRUE(choices.weight_be.equal(at::tensor({0.75F, 0.25F, 0.F, 0.1F, 0.F, 0.9F}).view({2, 3})));
}

TEST(ImageChoices, OfSpatialRoutingAreMeansOverPositions) {
  const auto routing = random_spatial({2, 4, 3, 5}, 2, 7);
  const auto choices = image_choices(routing);
  auto share = at::zeros({2, 4}), weight = at::zeros({2, 4});
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t i = 0; i < 2 * 15; ++i) {
      const auto expert = routing.indices[b].flatten()[i].item<int64_t>();
      share[b][expert] += 1.0 / 15;
      weight[b][expert] += routing.weights[b].flatten()[i] / 15;
    }
  }
  EXPECT_TRUE(test::is_near(choices.share_be, share, 1e-6));
  EXPECT_TRUE(test::is_near(choices.weight_be, weight, 1e-6));
}

TEST(ExpertLabels, TellRepeatedExpertsApart) {
  EXPECT_EQ(expert_labels({"edge", "texture", "edge", "edge"}),
            (std::vector<std::string>{"edge", "texture", "edge.2", "edge.3"}));
}

}  // namespace
}  // namespace codmoe::moe
