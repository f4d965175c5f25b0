// A user's own expert: defined in their program, registered once, and then a name in any pool.
#include <codmoe/core/seed.h>
#include <codmoe/experts/registry.h>
#include <codmoe/moe/sparse_codmoe.h>
#include <fmt/format.h>
#include <torch/optim/sgd.h>

namespace {

using namespace codmoe;

/// What the map and its mirror image don't share: bodies are symmetrical, their surroundings seldom.
class MirrorExpert final : public experts::Expert {
 public:
  explicit MirrorExpert(const experts::ExpertOptions& options)
      : compare_(register_module(
            "compare", nn::ConvNormAct(nn::ConvShape{.in = options.dim, .out = options.dim}, options.norm))) {}

  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) override {
    return compare_->forward(x_bchw - x_bchw.flip(3), mask_b) + x_bchw;
  }

 private:
  nn::ConvNormAct compare_;
};

}  // namespace

int main() {
  core::seed_all(0);
  experts::register_expert("mirror", [](const auto& options) { return std::make_shared<MirrorExpert>(options); });
  const moe::MoeOptions options{.experts = {"texture", "edge", "mirror"}};
  moe::SparseCODMoE layer(32, options);
  torch::optim::SGD optimizer(layer->parameters(), 0.1);

  const auto x_bchw = at::randn({16, 32, 8, 8}), target_bchw = x_bchw.flip(3);
  for (int step = 0; step < 5; ++step) {
    const auto [y_bchw, routing] = layer->forward(x_bchw);
    const auto loss = (y_bchw - target_bchw).square().mean();
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();

    const auto load_e = moe::assignment_counts(routing) / (16 * options.top_k);
    fmt::print("step {}: loss {:.4f}, load", step, loss.item<double>());
    for (int64_t e = 0; e < load_e.size(0); ++e)
      fmt::print(" {} {:.2f}", options.experts[static_cast<std::size_t>(e)], load_e[e].item<double>());
    fmt::print("\n");
  }
}
