#include "codmoe/ops/resize.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

struct Sizes {
  int64_t height, width, to_height, to_width;
};

class ResizeGpu : public testing::TestWithParam<Sizes> {};

TEST_P(ResizeGpu, AsOnTheCpu) {
  const auto [height, width, to_height, to_width] = GetParam();
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto op = [&](const std::vector<at::Tensor>& in) {
      return std::vector{resize_bilinear(in[0].contiguous(format), to_height, to_width)};
    };
    expect_as_on_cpu({op, {test::randn({2, 6, height, width}, 1)}, {true}});
    expect_as_on_cpu({op, {test::randn({3, 1, height, width}, 2)}, {true}});
    expect_as_on_cpu({op, {test::randn({2, 16, height, width}, 3)}, {true}});
  }
}

TEST_P(ResizeGpu, ASumAsOnTheCpu) {
  const auto [height, width, to_height, to_width] = GetParam();
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto op = [&](const std::vector<at::Tensor>& in) {
      return std::vector{add_resized(in[0].contiguous(format), in[1].contiguous(format))};
    };
    for (const int64_t channels : {1, 6, 24}) {
      const std::vector inputs{test::randn({2, channels, to_height, to_width}, 4),
                               test::randn({2, channels, height, width}, 5)};
      expect_as_on_cpu({op, inputs, {true, true}});
      for (const auto& wanted : kOneWanted) expect_as_on_cpu({op, inputs, {true, true}, wanted});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ResizeGpu,
                         testing::Values(Sizes{11, 11, 352, 352}, Sizes{88, 88, 352, 352}, Sizes{5, 7, 9, 8},
                                         Sizes{22, 22, 44, 44}, Sizes{1, 1, 32, 32}, Sizes{3, 2, 8, 9},
                                         Sizes{16, 12, 7, 5}, Sizes{7, 9, 7, 18}));

}  // namespace
}  // namespace codmoe::ops
