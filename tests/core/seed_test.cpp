#include "codmoe/core/seed.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <bit>
#include <set>

namespace codmoe::core {
namespace {

// By an implementation in Python of the published SplitMix64, whose first outputs from seed 0 are 0xe220a8397b1dcdaf,
// 0x6e789e6aa1b965f4. A checkpoint resumes exactly only while these streams stay what they are.
TEST(MixSeed, IsSplitMix64) {
  EXPECT_EQ(mix_seed(0, 0, 0), 0x238275bc38fcbe91U);
  EXPECT_EQ(mix_seed(42, 1, 2), 0xf4269628263f4c12U);
  EXPECT_EQ(mix_seed(42, 1), mix_seed(42, 1, 0));
}

TEST(MixSeed, StreamsDiffer) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (uint64_t a = 0; a < 20; ++a) {
      for (uint64_t b = 0; b < 50; ++b) seen.insert(mix_seed(seed, a, b));
    }
  }
  EXPECT_EQ(seen.size(), 10U * 20U * 50U);
}

TEST(MixSeed, NeighboursAreUnrelated) {
  int64_t flipped = 0;
  for (uint64_t b = 0; b < 1000; ++b) flipped += std::popcount(mix_seed(7, 3, b) ^ mix_seed(7, 3, b + 1));
  EXPECT_NEAR(static_cast<double>(flipped) / 1000, 32.0, 1.0);
}

TEST(SeedAll, RepeatsRandomNumbers) {
  seed_all(5);
  const auto first = at::randn({100});
  const auto later = at::randn({100});
  seed_all(5);
  EXPECT_TRUE(at::randn({100}).equal(first));
  seed_all(6);
  EXPECT_FALSE(at::randn({100}).equal(first));
  EXPECT_FALSE(later.equal(first));
}

TEST(Deterministic, SwitchesLibTorch) {
  set_deterministic(true);
  EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
  EXPECT_TRUE(at::globalContext().deterministicCuDNN());
  set_deterministic(false);
  EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
  EXPECT_FALSE(at::globalContext().deterministicCuDNN());
}

}  // namespace
}  // namespace codmoe::core
