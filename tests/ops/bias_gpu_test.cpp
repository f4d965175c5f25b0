#include "codmoe/ops/bias.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

TEST(AddBiasGpu, AsOnTheCpu) {
  for (const auto format : {at::MemoryFormat::Contiguous, at::MemoryFormat::ChannelsLast}) {
    const auto op = [&](const std::vector<at::Tensor>& in) {
      return std::vector{add_bias(in[0].contiguous(format), in[1])};
    };
    for (const int64_t channels : {2, 3, 64, 320}) {
      const std::vector inputs{test::randn({2, channels, 9, 7}, 1), test::randn({channels}, 2)};
      expect_as_on_cpu({op, inputs, {true, false}});
      for (const auto& wanted : kOneWanted) expect_as_on_cpu({op, inputs, {true, false}, wanted});
    }
  }
}

}  // namespace
}  // namespace codmoe::ops
