#include "benchmarks/layer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "benchmarks/layer_setup.h"
#include "codmoe/core/error.h"
#include "codmoe/core/options_json.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/nn/weights.h"
#include "support/register_once.h"
#include "support/temporary_folder.h"

namespace codmoe::bench {
namespace {

using moe::Dispatch;

LayerOptions small_options() {
  LayerOptions options;
  options.dim = 16;
  options.height = 6;
  options.width = 5;
  options.batch = {1, 3};
  options.pass = {Pass::forward, Pass::train};
  options.route_sets = 2;
  options.timing = {.warmup = 1, .runs = 4, .seconds = 100};
  return options;
}

/// An expert whose answer for one image depends on the others beside it: `sequential` and `batched` must differ.
class LeakyExpert : public experts::Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return x_bchw + x_bchw.mean(0); }
};

class LayerBenchRouting : public testing::TestWithParam<moe::RoutingKind> {};

TEST_P(LayerBenchRouting, MeasuresEveryCombination) {
  auto options = small_options();
  options.moe.routing = GetParam();
  const auto records = run_layer(options, c10::kCPU);
  std::set<std::tuple<std::string, std::string, int64_t>> cases;
  for (const auto& record : records) {
    cases.emplace(record.pass, record.dispatch, record.batch);
    EXPECT_EQ(record.runs, 4);
    EXPECT_EQ(record.routing, core::name_of(GetParam()));
    EXPECT_GT(record.min_ms, 0);
    EXPECT_LE(record.min_ms, record.median_ms);
    EXPECT_LE(record.median_ms, record.p95_ms);
    EXPECT_NEAR(record.images_per_s, static_cast<double>(record.batch) * 1e3 / record.median_ms, 1e-6);
    EXPECT_NEAR(std::accumulate(record.load.begin(), record.load.end(), 0.0), 1.0, 1e-6);
    EXPECT_GT(record.roofline_ms.value(), 0);
    EXPECT_FALSE(record.gpu_ms.has_value());
  }
  EXPECT_EQ(cases.size(), 2U * 3U * 2U);
  EXPECT_EQ(records.size(), cases.size());
}

TEST(LayerBench, MeasuresWarmAndColdInputs) {
  auto options = small_options();
  options.pass = {Pass::forward};
  options.dispatch = {Dispatch::batched, Dispatch::dense};
  options.inputs = {Inputs::warm, Inputs::cold};
  std::vector<std::tuple<std::string, std::string, int64_t>> cases;
  for (const auto& record : run_layer(options, c10::kCPU))
    cases.emplace_back(record.inputs, record.dispatch, record.batch);
  EXPECT_EQ(cases, (decltype(cases){{"warm", "batched", 1},
                                    {"warm", "batched", 3},
                                    {"warm", "dense", 1},
                                    {"warm", "dense", 3},
                                    {"cold", "batched", 1},
                                    {"cold", "batched", 3},
                                    {"cold", "dense", 1},
                                    {"cold", "dense", 3}}));
}

TEST(LayerBench, ColdInputsTakeLonger) {
  auto options = small_options();
  options.batch = {1};
  options.pass = {Pass::forward};
  options.dispatch = {Dispatch::sequential};
  options.inputs = {Inputs::cold, Inputs::warm};
  options.timing.runs = 20;
  const auto records = run_layer(options, c10::kCPU);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_GT(records[0].min_ms, 1.2 * records[1].min_ms);  // about twice as long
}

INSTANTIATE_TEST_SUITE_P(All, LayerBenchRouting, testing::Values(moe::RoutingKind::global, moe::RoutingKind::spatial),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

TEST(LayerBench, RefusesStrategiesThatDisagree) {
  test::register_once("leaky", [](const auto&) { return std::make_shared<LeakyExpert>(); });
  auto options = small_options();
  options.moe.experts = {"leaky"};
  options.moe.top_k = 1;
  try {
    run_layer(options, c10::kCPU);
    FAIL() << "it was timed";
  } catch (const core::Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("layer float32 batch 3: dispatch "), std::string::npos) << message;
    EXPECT_NE(message.find("deviates from dispatch sequential"), std::string::npos) << message;
  }
}

TEST(LayerBench, RefusesTf32OnTheCpu) {
  auto options = small_options();
  options.dtype = {Precision::tf32};
  EXPECT_THROW(run_layer(options, c10::kCPU), core::UsageError);
}

TEST(LayerBench, RefusesAnEmptyList) {
  for (const char* text : {R"({"batch": []})", R"({"launch": []})", R"({"inputs": []})"}) {
    LayerOptions options;
    EXPECT_THROW(core::read_options(core::Json::parse(text), {}, options), core::UsageError) << text;
  }
}

TEST_P(LayerBenchRouting, SavesWhatAnotherFrameworkNeeds) {
  const test::TemporaryFolder folder;
  const auto file = folder / "io.safetensors";
  auto options = small_options();
  options.moe.routing = GetParam();
  save_layer_io(file, options, c10::kCPU);
  auto [tensors, metadata] = core::load_safetensors(file);
  EXPECT_EQ(metadata.at("routing"), core::name_of(GetParam()));
  EXPECT_EQ(metadata.at("experts"), "texture,frequency,edge,contrast,attention,hybrid");
  const auto take = [&](const char* key) { return tensors.extract(key).mapped(); };
  const auto input = take("input"), output = take("output"), indices = take("topk_indices"),
             weights = take("topk_weights");
  EXPECT_EQ(input.sizes(), (at::IntArrayRef{3, 16, 6, 5}));
  EXPECT_TRUE(tensors.contains("router.gate.weight"));
  EXPECT_TRUE(tensors.contains("experts.0.fusion.norm.running_var"));
  EXPECT_FALSE(tensors.at("experts.0.fusion.norm.running_mean").eq(0).any().item<bool>());

  const at::NoGradGuard no_grad;
  moe::SparseCODMoE layer(16, moe::MoeOptions{.routing = GetParam()});
  nn::load_state(*layer, tensors);  // the rest are the weights, all and only them
  layer->eval();
  layer->set_dispatch(Dispatch::dense);
  const auto result = layer->forward(input);
  EXPECT_TRUE(result.routing.indices.equal(indices));
  EXPECT_TRUE(at::allclose(result.routing.weights, weights));
  EXPECT_TRUE(at::allclose(result.y_bchw, output, 1e-4, 1e-5));
}

TEST(LayerSetup, ImagesOfASmallBatchAreTheFirstOfALargeOne) {
  LayerSetup setup(small_options(), Precision::bfloat16, c10::kCPU);
  const auto few = setup.images(1), many = setup.images(3);
  EXPECT_TRUE(few.equal(many.narrow(0, 0, 1)));
  EXPECT_EQ(few.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(many.is_contiguous(at::MemoryFormat::ChannelsLast));
}

TEST(LayerSetup, TheRouterAndTheCountersKeepTheirTypes) {
  LayerSetup setup(small_options(), Precision::bfloat16, c10::kCPU);
  const auto state = nn::state_dict(*setup.layer());
  EXPECT_EQ(state.at("router.gate.weight").scalar_type(), at::kFloat);
  EXPECT_EQ(state.at("experts.0.fusion.conv.weight").scalar_type(), at::kBFloat16);
  EXPECT_EQ(state.at("experts.0.fusion.norm.num_batches_tracked").scalar_type(), at::kLong);
}

}  // namespace
}  // namespace codmoe::bench
