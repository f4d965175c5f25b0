#include "codmoe/ops/edges.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/tensors.h"

namespace codmoe::ops {
namespace {

constexpr double kSobel[3][3] = {{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}};
constexpr double kLaplacian[3][3] = {{0, 1, 0}, {1, -4, 1}, {0, 1, 0}};

/// The three maps by correlation with the kernels as DESIGN.md prints them.
EdgeMaps slow_edges(const at::Tensor& x_bchw) {
  EdgeMaps maps{at::empty_like(x_bchw), at::empty_like(x_bchw), at::empty_like(x_bchw)};
  const auto in = x_bchw.accessor<double, 4>();
  auto sobel = maps.sobel.accessor<double, 4>(), laplacian = maps.laplacian.accessor<double, 4>();
  auto gradient = maps.gradient.accessor<double, 4>();
  const auto value = [&](int64_t b, int64_t c, int64_t y, int64_t x) {
    return y < 0 || x < 0 || y >= in.size(2) || x >= in.size(3) ? 0.0 : in[b][c][y][x];
  };
  for (int64_t b = 0; b < in.size(0); ++b) {
    for (int64_t c = 0; c < in.size(1); ++c) {
      for (int64_t i = 0; i < in.size(2); ++i) {
        for (int64_t j = 0; j < in.size(3); ++j) {
          double sx = 0, sy = 0, lap = 0;
          for (int u = 0; u < 3; ++u) {
            for (int v = 0; v < 3; ++v) {
              const double pixel = value(b, c, i + u - 1, j + v - 1);
              sx += kSobel[u][v] * pixel;
              sy += kSobel[v][u] * pixel;
              lap += kLaplacian[u][v] * pixel;
            }
          }
          const double s2 = sx * sx + sy * sy + 1e-6;
          sobel[b][c][i][j] = std::sqrt(s2);
          laplacian[b][c][i][j] = std::abs(lap);
          gradient[b][c][i][j] = std::sqrt(s2 + lap * lap + 1e-6);
        }
      }
    }
  }
  return maps;
}

TEST(EdgeMaps, AgreeWithPlainLoops) {
  for (const auto& shape : std::vector<std::vector<int64_t>>{{2, 3, 7, 9}, {1, 2, 1, 6}, {1, 2, 6, 1}, {1, 1, 1, 1}}) {
    SCOPED_TRACE(testing::PrintToString(shape));
    const auto x = test::randn(shape, 1);
    const auto expected = slow_edges(x);
    for (const auto& input : {x, x.contiguous(at::MemoryFormat::ChannelsLast)}) {
      const auto maps = edge_maps(input);
      EXPECT_TRUE(test::is_near(maps.sobel, expected.sobel, 1e-12));
      EXPECT_TRUE(test::is_near(maps.laplacian, expected.laplacian, 1e-12));
      EXPECT_TRUE(test::is_near(maps.gradient, expected.gradient, 1e-12));
    }
  }
}

TEST(EdgeMaps, KeepTheDtype) {
  const auto maps = edge_maps(at::ones({1, 2, 4, 4}));
  EXPECT_EQ(maps.sobel.scalar_type(), at::kFloat);
  EXPECT_EQ(maps.laplacian.scalar_type(), at::kFloat);
  EXPECT_EQ(maps.gradient.scalar_type(), at::kFloat);
}

TEST(EdgeMaps, HaveFiniteGradientsWhereNothingChanges) {
  const auto x = at::zeros({1, 1, 5, 5}, at::kDouble).requires_grad_();
  const auto maps = edge_maps(x);
  (maps.sobel + maps.laplacian + maps.gradient).sum().backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
}

TEST(EdgeMaps, RefuseOtherTensors) {
  EXPECT_THROW(edge_maps(at::zeros({3, 4, 4})), c10::Error);
  EXPECT_THROW(edge_maps(at::zeros({1, 3, 4, 4}, at::kLong)), c10::Error);
}

}  // namespace
}  // namespace codmoe::ops
