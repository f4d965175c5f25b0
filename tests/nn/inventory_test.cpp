#include "codmoe/nn/inventory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>

#include <algorithm>
#include <limits>

#include "codmoe/nn/weights.h"

namespace codmoe::nn {
namespace {

using Names = std::vector<std::string>;

Names names_of(const core::TensorMap& tensors, int64_t depth) {
  Names names;
  for (const auto& part : list_parts(tensors, depth)) names.push_back(part.name);
  return names;
}

TEST(Inventory, CountsEachPartAndThePartsInside) {
  const core::TensorMap tensors{{"moe.0.experts.10.norm.bias", at::zeros({3})},
                                {"moe.0.experts.10.norm.weight", at::zeros({3}, at::kDouble)},
                                {"moe.0.experts.9.conv.weight", at::zeros({2, 5})},
                                {"moe.0.router.gate.bias", at::zeros({2})},
                                {"cls_token", at::zeros({1, 4})}};
  const auto parts = list_parts(tensors, 2);
  ASSERT_EQ(names_of(tensors, 2),
            (Names{"", "cls_token", "moe.0", "moe.0.experts.9", "moe.0.experts.10", "moe.0.router"}));
  EXPECT_EQ(names_of(tensors, 1), (Names{"", "cls_token", "moe.0"}));
  const auto expect = [&](std::size_t index, int64_t depth, int64_t count, int64_t values, int64_t bytes) {
    SCOPED_TRACE(parts[index].name);
    EXPECT_EQ(parts[index].depth, depth);
    EXPECT_EQ(parts[index].tensors, count);
    EXPECT_EQ(parts[index].values, values);
    EXPECT_EQ(parts[index].bytes, bytes);
  };
  expect(0, 0, 5, 22, 100);
  expect(1, 1, 1, 4, 16);
  expect(2, 1, 4, 18, 84);
  expect(3, 2, 1, 10, 40);
  expect(4, 2, 2, 6, 36);
}

TEST(Inventory, TakesNamesOfEveryShape) {
  const core::TensorMap tensors{{"", at::zeros({1})},
                                {".", at::zeros({1})},
                                {"0.1.weight", at::zeros({1})},
                                {"blocks.0.1.weight", at::zeros({1})},
                                {"blocks.007.weight", at::zeros({1})},
                                {"x.99999999999999999999.weight", at::zeros({1})}};
  EXPECT_EQ(list_parts(tensors, 3).front().tensors, 6);
  const auto names = names_of(tensors, 3);
  for (const auto* name : {"0", "0.1", "blocks.0", "blocks.0.1", "blocks.007", "x.99999999999999999999"}) {
    EXPECT_EQ(std::ranges::count(names, name), 1) << name;
  }
}

TEST(Inventory, OfNothingIsOneEmptyPart) {
  const auto parts = list_parts({}, 2);
  ASSERT_EQ(parts.size(), 1U);
  EXPECT_EQ(parts[0].tensors, 0);
}

TEST(Inventory, ParametersAreWhatATrainingStepMoves) {
  auto net = torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 3, 5)), torch::nn::BatchNorm2d(3));
  EXPECT_EQ(count_parameters(state_dict(*net)), count_parameters(*net));
  EXPECT_EQ(count_parameters(core::TensorMap{{"router.selection_bias", at::zeros({6})}, {"scale", at::ones({2})}}), 2);
}

TEST(Inventory, NamesDtypesAndWhatIsNoNumber) {
  auto with_nan = at::zeros({2, 2}, at::kBFloat16), with_infinity = at::zeros({2}, at::kHalf);
  with_nan[1][1] = std::numeric_limits<float>::quiet_NaN();
  with_infinity[0] = -std::numeric_limits<float>::infinity();
  const core::TensorMap tensors{{"a", with_nan},
                                {"b", with_infinity},
                                {"c", at::zeros({0})},
                                {"d", at::full({2}, 1e38)},
                                {"e", at::zeros({2}, at::kLong)},
                                {"f", at::zeros({2}, at::kBool)}};
  EXPECT_EQ(find_nonfinite(tensors), (Names{"a", "b"}));
  EXPECT_EQ(count_dtypes(tensors), (std::map<std::string, int64_t>{
                                       {"bfloat16", 1}, {"float16", 1}, {"float32", 2}, {"int64", 1}, {"bool", 1}}));
}

}  // namespace
}  // namespace codmoe::nn
