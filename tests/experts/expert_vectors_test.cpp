// Every expert, forward and backward, against an independent Python implementation: see make_expert_vectors.py.
#include <ATen/ATen.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "codmoe/experts/registry.h"
#include "codmoe/nn/weights.h"
#include "support/tensors.h"

namespace codmoe::experts {
namespace {

constexpr double kTolerance = 1e-9;

struct Mode {
  const char* name;
  int64_t dim;
  nn::NormKind norm;
  bool training;
};

constexpr Mode kModes[] = {{"batch_train", 10, nn::NormKind::batch, true},
                           {"batch_eval", 10, nn::NormKind::batch, false},
                           {"group", 10, nn::NormKind::group, true},
                           {"layer", 10, nn::NormKind::layer, true},
                           {"batch_train", 12, nn::NormKind::batch, true}};

/// An expert with the weights of its file, and what the file expects in one mode.
struct Case {
  Case(const std::string& name, const Mode& mode) {
    const auto file = fmt::format("{}/tests/experts/data/{}_c{}.safetensors", CODMOE_SOURCE_DIR, name, mode.dim);
    if (!std::filesystem::exists(file))
      throw std::runtime_error(file + " is not there: make_expert_vectors.py writes it");
    const auto tensors = core::load_safetensors(file).tensors;
    expected = test::with_prefix(tensors, std::string(mode.name) + ".");
    x = tensors.at("input").to(at::kDouble);
    upstream = tensors.at("upstream").to(at::kDouble);
    parameters = test::with_prefix(tensors, "param.");
    if (mode.norm != nn::NormKind::batch) {
      std::erase_if(parameters, [](const auto& item) { return item.first.find("running_") != std::string::npos; });
    }
    expert = make_expert(name, {.dim = mode.dim, .norm = mode.norm});
    expert->to(at::kDouble);
    nn::load_state(*expert, parameters);  // refuses any name that is missing or too much
    expert->train(mode.training);
  }

  core::TensorMap expected, parameters;
  at::Tensor x, upstream;
  ExpertPtr expert;
};

class ExpertVectors : public testing::TestWithParam<std::string> {};

TEST_P(ExpertVectors, ForwardAndBackwardAgree) {
  for (const auto& mode : kModes) {
    SCOPED_TRACE(fmt::format("{}, {} channels", mode.name, mode.dim));
    const Case c(GetParam(), mode);
    const auto x = c.x.clone().requires_grad_();
    const auto y = c.expert->forward(x);
    y.backward(c.upstream);

    EXPECT_TRUE(test::is_near(y, c.expected.at("output"), kTolerance));
    EXPECT_TRUE(test::is_near(x.grad(), c.expected.at("grad_input"), kTolerance));
    EXPECT_TRUE(test::are_near_flat(test::gradients(*c.expert), c.expected.at("grad"), kTolerance));
  }
}

TEST_P(ExpertVectors, RunningStatisticsMoveInTrainingAlone) {
  for (const auto& mode : kModes) {
    SCOPED_TRACE(fmt::format("{}, {} channels", mode.name, mode.dim));
    const Case c(GetParam(), mode);
    c.expert->forward(c.x);
    auto statistics = test::buffers(*c.expert);
    std::erase_if(statistics, [](const auto& item) { return item.first.ends_with("num_batches_tracked"); });
    if (mode.norm != nn::NormKind::batch) {
      EXPECT_TRUE(statistics.empty());
    } else if (mode.training) {
      EXPECT_TRUE(test::are_near_flat(statistics, c.expected.at("after"), kTolerance));
    } else {
      ASSERT_FALSE(statistics.empty());
      for (const auto& [name, value] : statistics)
        EXPECT_TRUE(value.equal(c.parameters.at(name).to(at::kDouble))) << name;
    }
  }
}

// The dense dispatch shows an expert all samples and a mask: what the masked ones get must be what they get alone.
TEST_P(ExpertVectors, MaskedSamplesAreAsAlone) {
  for (const auto& mode : kModes) {
    SCOPED_TRACE(fmt::format("{}, {} channels", mode.name, mode.dim));
    const Case c(GetParam(), mode);
    const auto noise = 10 * test::randn(c.x.sizes(), 3);
    const auto mask = at::tensor({0, 1, 0, 1}).to(at::kBool);
    const auto y = c.expert->forward(at::stack({noise[0], c.x[0], noise[1], c.x[1]}), mask);
    EXPECT_TRUE(test::is_near(at::stack({y[1], y[3]}), c.expected.at("output"), kTolerance));
  }
}

INSTANTIATE_TEST_SUITE_P(All, ExpertVectors, testing::ValuesIn(expert_names()),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace codmoe::experts
