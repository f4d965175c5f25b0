// Experts of other ranks take no memory of the GPU.
#include <gtest/gtest.h>

#include "moe/spread_run.h"
#include "support/cuda.h"

namespace codmoe::moe {
namespace {

TEST(GpuExpertParallel, ExpertsElsewhereAreOnTheHostAndStillLoadAndGather) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const SpreadCase c{.parts = {1, 1, 1}};
  const auto plain = nn::state_dict(*std::make_shared<SpreadModel>(c, /*seed=*/77));
  test::run_ranks(3, [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(c);
    model->to(c10::kCUDA);
    model->spread(group);
    const auto owners = expert_owners(*model);
    for (const auto& [name, tensor] : nn::state_dict(*model)) {
      EXPECT_EQ(tensor.is_cuda(), !owners.contains(name) || owners.at(name) == group.rank()) << name;
    }
    nn::load_state(*model, plain);
    for (const auto& [name, tensor] : nn::state_dict(*model)) {
      if (owners.contains(name) && owners.at(name) != group.rank()) at::Tensor(tensor).zero_();
    }
    gather_experts(*model, group);
    for (const auto& [name, tensor] : nn::state_dict(*model)) EXPECT_TRUE(tensor.cpu().equal(plain.at(name))) << name;
  });
}

}  // namespace
}  // namespace codmoe::moe
