#include "codmoe/nn/weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include "codmoe/core/error.h"

namespace codmoe::nn {
namespace {

using Keys = std::vector<std::string>;

torch::nn::Sequential make_net() {
  return torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 1)), torch::nn::BatchNorm2d(3));
}

/// Tensors that fit make_net(), each filled with its own value.
TensorMap make_tensors() {
  return {{"0.weight", at::full({3, 2, 1, 1}, 1.5)},
          {"0.bias", at::full({3}, 2.5)},
          {"1.weight", at::full({3}, 3.5)},
          {"1.bias", at::full({3}, 4.5)},
          {"1.running_mean", at::full({3}, 5.5)},
          {"1.running_var", at::full({3}, 6.5)},
          {"1.num_batches_tracked", at::scalar_tensor(7, at::kLong)}};
}

TensorMap copy_of(const TensorMap& state) {
  TensorMap copy;
  for (const auto& [key, tensor] : state) copy[key] = tensor.clone();
  return copy;
}

void expect_equal(const TensorMap& actual, const TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [key, tensor] : expected) EXPECT_TRUE(actual.at(key).equal(tensor)) << key;
}

/// The message of the refusal; the net must be as it was.
std::string refusal(const TensorMap& tensors, const LoadPolicy& policy = {}) {
  auto net = make_net();
  const auto before = copy_of(state_dict(*net));
  std::string message = "it was accepted";
  try {
    load_state(*net, tensors, policy);
  } catch (const core::Error& error) {
    message = error.what();
  }
  expect_equal(state_dict(*net), before);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return message;
}

TEST(Weights, StateDictHoldsParametersAndBuffersAndSharesTheirMemory) {
  auto net = make_net();
  auto state = state_dict(*net);
  Keys keys;
  for (const auto& [key, tensor] : state) {
    keys.push_back(key);
    EXPECT_FALSE(tensor.requires_grad()) << key;
  }
  EXPECT_EQ(keys, (Keys{"0.bias", "0.weight", "1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var",
                        "1.weight"}));
  state.at("0.bias").fill_(9);
  EXPECT_EQ(net->parameters()[1].sum().item<double>(), 27.0);
}

TEST(Weights, CountsTheValuesOfParametersAlone) {
  EXPECT_EQ(count_parameters(*make_net()),
            3 * 2 + 3 + 3 + 3);  // convolution with bias, then norm without its statistics
}

TEST(Weights, StateDictLeavesOutWhatTheModuleDoesNotHave) {
  const torch::nn::BatchNorm2d plain(torch::nn::BatchNorm2dOptions(3).affine(false).track_running_stats(false));
  EXPECT_TRUE(state_dict(*plain).empty());
}

TEST(Weights, LoadsEveryValueAndKeepsGradients) {
  auto net = make_net();
  const auto report = load_state(*net, make_tensors());
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.matched.size(), 7U);
  EXPECT_EQ(report.summary(), "7 tensors matched");
  expect_equal(state_dict(*net), make_tensors());
  for (const auto& parameter : net->parameters()) EXPECT_TRUE(parameter.requires_grad() && parameter.is_leaf());
}

TEST(Weights, ConvertsDtypes) {
  auto net = make_net();
  auto tensors = make_tensors();
  tensors["0.weight"] = tensors["0.weight"].to(at::kHalf);
  tensors["1.bias"] = tensors["1.bias"].to(at::kDouble);
  load_state(*net, tensors);
  expect_equal(state_dict(*net), make_tensors());
}

TEST(Weights, ListsWhatDoesNotFitAndChangesNothing) {
  auto tensors = make_tensors();
  tensors.erase("0.bias");
  tensors["0.weight"] = at::zeros({3, 2, 3, 3});
  tensors["head.weight"] = at::zeros({1});
  EXPECT_EQ(refusal(tensors, {.source = "w.safetensors"}),
            "w.safetensors: doesn't fit the model: 5 tensors matched; 1 missing: 0.bias; 1 unexpected: head.weight; "
            "1 mis-shaped: 0.weight ([3, 2, 3, 3], the model has [3, 2, 1, 1])");
}

TEST(Weights, EachAllowanceCoversItsOwnFaultAlone) {
  auto missing = make_tensors();
  missing.erase("0.bias");
  auto unexpected = make_tensors();
  unexpected["head"] = at::zeros({1});
  auto misshaped = make_tensors();
  misshaped["0.bias"] = at::zeros({4});
  const LoadPolicy allow_missing{.allow_missing = true};
  const LoadPolicy allow_unexpected{.allow_unexpected = true};
  const LoadPolicy allow_misshaped{.allow_misshaped = true};

  EXPECT_NE(refusal(missing, allow_unexpected).find("1 missing: 0.bias"), std::string::npos);
  EXPECT_NE(refusal(missing, allow_misshaped).find("1 missing: 0.bias"), std::string::npos);
  EXPECT_NE(refusal(unexpected, allow_missing).find("1 unexpected: head"), std::string::npos);
  EXPECT_NE(refusal(unexpected, allow_misshaped).find("1 unexpected: head"), std::string::npos);
  EXPECT_NE(refusal(misshaped, allow_missing).find("1 mis-shaped: 0.bias"), std::string::npos);
  EXPECT_NE(refusal(misshaped, allow_unexpected).find("1 mis-shaped: 0.bias"), std::string::npos);

  auto net = make_net();
  EXPECT_EQ(load_state(*net, missing, allow_missing).missing, Keys{"0.bias"});
  EXPECT_EQ(load_state(*net, unexpected, allow_unexpected).unexpected, Keys{"head"});
  const auto report = load_state(*net, misshaped, allow_misshaped);
  EXPECT_EQ(report.misshaped.size(), 1U);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(state_dict(*net).at("1.bias").sum().item<double>(), 13.5);
}

TEST(Weights, IgnoresUnexpectedKeysByPrefixOnly) {
  auto tensors = make_tensors();
  tensors["classifier.weight"] = at::zeros({1});
  tensors["the.classifier.weight"] = at::zeros({1});
  const LoadPolicy policy{.ignored_prefixes = {"classifier.", "0."}};
  EXPECT_NE(refusal(tensors, policy).find("1 unexpected: the.classifier.weight"), std::string::npos);
  tensors.erase("the.classifier.weight");
  auto net = make_net();
  const auto report = load_state(*net, tensors, policy);
  EXPECT_EQ(report.ignored, Keys{"classifier.weight"});
  EXPECT_EQ(report.matched.size(), 7U) << "an ignored prefix leaves out nothing that the module has";
}

TEST(Weights, BatchCountersMayBeAbsentOnEitherSide) {
  auto net = make_net();
  auto tensors = make_tensors();
  tensors.erase("1.num_batches_tracked");
  EXPECT_TRUE(load_state(*net, tensors).ok());
  tensors["5.num_batches_tracked"] = at::scalar_tensor(1, at::kLong);
  EXPECT_TRUE(load_state(*net, tensors).ok());
}

TEST(Weights, SummaryNamesTheFirstFewKeys) {
  LoadReport report;
  for (char letter = 'a'; letter <= 'h'; ++letter) report.missing.emplace_back(1, letter);
  EXPECT_EQ(report.summary(), "0 tensors matched; 8 missing: a, b, c, d, e and 3 more");
}

}  // namespace
}  // namespace codmoe::nn
