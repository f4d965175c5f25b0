#include "benchmarks/model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "benchmarks/compare.h"
#include "codmoe/backbone/registry.h"
#include "codmoe/core/error.h"
#include "codmoe/core/options_json.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/nn/weights.h"
#include "support/temporary_folder.h"

namespace codmoe::bench {
namespace {

ModelOptions small_model() {
  ModelOptions options;
  options.backbone = {"tiny"};
  options.size = {{32, 48}};
  options.batch = {2};
  options.timing = {.warmup = 1, .runs = 3, .seconds = 100};
  return options;
}

/// What a key of the options is refused with; empty where it is accepted.
std::string refusal_of(const char* json) {
  ModelOptions options;
  try {
    core::read_options(core::Json::parse(json), {}, options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "";
}

void expect_refusal(const char* json, const std::string& part) {
  EXPECT_NE(refusal_of(json).find(part), std::string::npos) << json << ": " << refusal_of(json);
}

TEST(ModelBench, MeasuresEveryCombinationAndTheTableShowsIt) {
  auto options = small_model();
  options.size = {{32, 48}, {64, 32}};
  options.batch = {1, 2};
  options.timing.runs = 2;
  options.dtype = {Precision::float32, Precision::bfloat16};
  options.pass = {Pass::forward, Pass::train};
  const auto records = run_model(options, c10::kCPU);
  std::set<std::tuple<std::string, std::string, int64_t, int64_t, std::string, int64_t>> cases;
  for (const auto& r : records) {
    cases.emplace(r.backbone.value(), r.dtype, r.height, r.width, r.pass, r.batch);
    EXPECT_EQ(r.case_name, "model");
    EXPECT_EQ(r.launch, "eager");
    EXPECT_EQ(r.memory_format, r.dtype == "float32" ? "contiguous" : "channels_last");
    EXPECT_EQ(r.parameters, nn::count_parameters(*backbone::make_backbone({.name = *r.backbone})));
    EXPECT_EQ(r.runs, 2);
    EXPECT_GT(r.min_ms, 0);
    EXPECT_NEAR(r.images_per_s, static_cast<double>(r.batch) * 1e3 / r.median_ms, 1e-6);
  }
  EXPECT_EQ(cases.size(), 2U * 2U * 2U * 2U);
  EXPECT_EQ(records.size(), cases.size());
  EXPECT_TRUE(cases.contains({"tiny", "bfloat16", 64, 32, "train", 2}));

  const auto text = format_model(records);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')), 16U + 2U * 4U) << text;  // rows and titles
  EXPECT_NE(text.find("tiny, 0.1 million parameters, 32x48"), std::string::npos) << text;
}

TEST(ModelBench, ComparesACaseWithItselfAlone) {
  auto options = small_model();
  options.backbone = {"tiny", "resnet18"};
  options.size = {{32, 32}, {32, 64}};
  const auto records = run_model(options, c10::kCPU);
  const auto changes = compare(records, records);
  ASSERT_EQ(changes.size(), 4U);
  for (const auto& change : changes) EXPECT_EQ(change.latency_ratio, 1.0);
  EXPECT_NE(format_changes(changes).find("resnet18 32x64"), std::string::npos);
  auto frozen = records;
  for (auto& record : frozen) record.frozen_norm = true;
  EXPECT_TRUE(compare(records, frozen).empty());
}

TEST(ModelBench, RefusesWhatItCannotDo) {
  expect_refusal(R"({"backbone": ["tiny", "resnet"]})", "backbone.1 must be one of tf_efficientnet_lite0");
  expect_refusal(R"({"backbone": []})", "backbone must name at least one value");
  expect_refusal(R"({"size": [[224, 224], [224]]})", "size.1 must be [height, width]");
  expect_refusal(R"({"size": [[0, 224]]})", "size.0.0");
  expect_refusal(R"({"size": []})", "size must name");
  expect_refusal(R"({"launch": []})", "launch must name");
  expect_refusal(R"({"backbone": ["tiny", "resnet18"], "weights": "w.safetensors"})",
                 "weights must be of one backbone");
  EXPECT_EQ(refusal_of(R"({"backbone": ["tiny"], "weights": "w.safetensors", "size": [[32, 64]]})"), "");

  auto options = small_model();
  options.launch = {Launch::graph};
  EXPECT_THROW(run_model(options, c10::kCPU), core::UsageError);
  options = small_model();
  options.dtype = {Precision::tf32};
  EXPECT_THROW(run_model(options, c10::kCPU), core::UsageError);
}

/// A file of save_model_io(), its weights taken out and loaded into a backbone of its own.
struct SavedModel {
  SavedModel(const ModelOptions& options, const std::filesystem::path& input = {}) {
    save_model_io(folder / "io.safetensors", input, options, c10::kCPU);
    auto file = core::load_safetensors(folder / "io.safetensors");
    metadata = file.metadata;
    for (const auto& [name, tensor] : file.tensors) {
      const bool is_io = name == "input" || name.starts_with("features.") || name.starts_with("grad.");
      (is_io ? io : weights)[name] = tensor;
    }
  }

  test::TemporaryFolder folder;
  core::TensorMap io, weights;
  std::map<std::string, std::string> metadata;
};

std::shared_ptr<backbone::Backbone> tiny_with(const core::TensorMap& weights, bool train) {
  auto backbone = backbone::make_backbone({.name = "tiny"});
  nn::load_state(*backbone, weights);  // all and only the weights
  backbone->train(train);
  return backbone;
}

void expect_features(const core::TensorMap& io, const std::vector<at::Tensor>& features) {
  for (std::size_t i = 0; i < features.size(); ++i) {
    EXPECT_TRUE(io.at("features." + std::to_string(i)).allclose(features[i], 1e-4, 1e-5)) << "level " << i;
  }
}

TEST(ModelIo, SavesRandomWeightsAndFeaturesInEvaluation) {
  const SavedModel saved(small_model());
  EXPECT_EQ(saved.io.size(), 5U);
  EXPECT_EQ(saved.io.at("input").sizes(), (at::IntArrayRef{2, 3, 32, 48}));
  EXPECT_EQ(saved.metadata.at("norms"), "running");
  const at::NoGradGuard no_grad;
  expect_features(saved.io, tiny_with(saved.weights, false)->forward(saved.io.at("input")));
}

TEST(ModelIo, TheTrainingPassSavesWeightsFromBeforeItAndTheGradientOfTheMeanSquares) {
  auto options = small_model();
  options.pass = {Pass::train};
  const SavedModel saved(options);
  EXPECT_EQ(saved.metadata.at("norms"), "batch");
  const auto backbone = tiny_with(saved.weights, true);
  for (const auto& [name, tensor] : saved.weights) {
    if (name.ends_with("running_mean")) {
      EXPECT_TRUE(tensor.eq(0).all().item<bool>()) << name;
    }
  }
  const auto features = backbone->forward(saved.io.at("input"));
  expect_features(saved.io, features);

  auto loss = at::zeros({});
  for (const auto& feature : features) loss = loss + feature.pow(2).sum() / static_cast<double>(feature.numel());
  loss.backward();
  for (const auto& item : backbone->named_parameters()) {
    EXPECT_TRUE(saved.io.at("grad." + item.key()).allclose(item.value().grad(), 1e-3, 1e-6)) << item.key();
  }
  EXPECT_EQ(saved.io.size(), 5U + backbone->parameters().size());
}

TEST(ModelIo, FrozenNormsUseTheirRunningStatisticsInTraining) {
  auto options = small_model();
  options.pass = {Pass::train};
  options.frozen_norm = true;
  const SavedModel saved(options);
  EXPECT_EQ(saved.metadata.at("norms"), "running");
  const auto backbone = tiny_with(saved.weights, false);
  expect_features(saved.io, backbone->forward(saved.io.at("input")));
  EXPECT_TRUE(saved.io.contains("grad." + backbone->named_parameters()[0].key()));
}

TEST(ModelIo, TakesWeightsAndDoubleImagesFromFiles) {
  const SavedModel first(small_model());
  core::save_safetensors(first.folder / "weights.safetensors", first.weights);
  const auto images = at::randn({1, 3, 64, 40}, at::kDouble);
  core::save_safetensors(first.folder / "images.safetensors", {{"input", images}});
  auto options = small_model();
  options.weights = first.folder / "weights.safetensors";
  options.seed = 5;
  const SavedModel second(options, first.folder / "images.safetensors");
  EXPECT_TRUE(second.weights.empty());
  EXPECT_EQ(second.metadata.at("dtype"), "float64");
  EXPECT_TRUE(second.io.at("input").equal(images));
  const auto backbone = tiny_with(first.weights, false);
  backbone->to(at::kDouble);
  const at::NoGradGuard no_grad;
  const auto features = backbone->forward(images);
  for (std::size_t i = 0; i < features.size(); ++i) {
    EXPECT_TRUE(second.io.at("features." + std::to_string(i)).allclose(features[i], 1e-9, 1e-12)) << "level " << i;
  }
}

TEST(ModelIo, NamesAFileWhoseImagesItCannotTake) {
  const test::TemporaryFolder folder;
  const auto refuse = [&](const core::TensorMap& tensors, const std::string& part) {
    core::save_safetensors(folder / "images.safetensors", tensors);
    try {
      save_model_io(folder / "io.safetensors", folder / "images.safetensors", small_model(), c10::kCPU);
      FAIL() << "accepted: " << part;
    } catch (const core::Error& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find("images.safetensors: " + part), std::string::npos) << message;
    }
  };
  refuse({{"image", at::zeros({1, 3, 32, 32})}}, "has no tensor 'input'");
  refuse({{"input", at::zeros({3, 32, 32})}}, "'input' must be [B, 3, H, W]");
  refuse({{"input", at::zeros({1, 1, 32, 32})}}, "'input' must be [B, 3, H, W]");
  refuse({{"input", at::zeros({1, 3, 32, 32}, at::kByte)}}, "'input' must be [B, 3, H, W]");
}

}  // namespace
}  // namespace codmoe::bench
