#include "codmoe/ops/narrow_copies.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

at::Tensor parameter(at::IntArrayRef shape, uint64_t seed) { return test::randn(shape, seed).to(at::kFloat); }

TEST(NarrowCopies, AreFoundWhileTheyLive) {
  const auto inside = parameter({3, 4}, 1).requires_grad_(), outside = parameter({3, 4}, 2);
  {
    const NarrowCopies copies({inside}, at::kBFloat16);
    const auto copy = NarrowCopies::of(inside, at::kBFloat16);
    EXPECT_TRUE(copy.equal(inside.to(at::kBFloat16)));
    EXPECT_TRUE(NarrowCopies::of(inside, at::kBFloat16).is_same(copy));
    EXPECT_FALSE(copy.requires_grad());
    EXPECT_EQ(NarrowCopies::of(inside, at::kHalf).scalar_type(), at::kHalf);
    EXPECT_TRUE(NarrowCopies::of(outside, at::kBFloat16).equal(outside.to(at::kBFloat16)));
    {
      const NarrowCopies others({outside}, at::kBFloat16);
      EXPECT_FALSE(NarrowCopies::of(inside, at::kBFloat16).is_same(copy));
    }
    EXPECT_TRUE(NarrowCopies::of(inside, at::kBFloat16).is_same(copy));
  }
  EXPECT_TRUE(NarrowCopies::of(inside, at::kBFloat16).requires_grad()) << "an ordinary cast again";
}

TEST(NarrowCopies, KeepStrides) {
  const std::vector<at::Tensor> tensors{parameter({4, 3, 1, 1}, 1).contiguous(at::MemoryFormat::ChannelsLast),
                                        parameter({4, 3, 3, 3}, 2).contiguous(at::MemoryFormat::ChannelsLast),
                                        parameter({5}, 3)};
  const auto copies = copy_all(tensors, at::kBFloat16);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(copies[i].strides(), tensors[i].strides()) << i;
    EXPECT_TRUE(copies[i].equal(tensors[i].to(at::kBFloat16))) << i;
  }
  EXPECT_TRUE(copy_all({}, at::kBFloat16).empty());
}

}  // namespace
}  // namespace codmoe::ops
