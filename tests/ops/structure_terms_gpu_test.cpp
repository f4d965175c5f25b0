#include "codmoe/ops/structure_terms.h"

#include "ops/on_cuda.h"

namespace codmoe::ops {
namespace {

TEST(StructureTermsGpu, AsOnTheCpu) {
  for (const bool weighted : {true, false}) {
    for (const auto& shape : {std::vector<int64_t>{3, 1, 65, 70}, {1, 1, 1, 1}, {5, 1, 8, 3}}) {
      const auto mask = (test::randn(shape, 2) > 0.8).to(at::kFloat), weight = 1 + 5 * test::randn(shape, 3).abs();
      const auto op = [&](const std::vector<at::Tensor>& in) {
        const auto like = [&](const at::Tensor& map) { return map.to(at::kFloat).to(in[0].options()).detach(); };
        return std::vector{structure_terms(in[0], like(mask), like(weight), weighted)};
      };
      // The map is float32 in both runs: of other types it goes LibTorch's way.
      expect_as_on_cpu({op, {6 * test::randn(shape, 1)}, {false}});
    }
  }
}

}  // namespace
}  // namespace codmoe::ops
