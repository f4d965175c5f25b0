// Pools that name an expert several times, and pools with an expert of the user's own.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"
#include "codmoe/experts/registry.h"
#include "codmoe/moe/sparse_codmoe.h"
#include "codmoe/nn/weights.h"
#include "moe/layer_run.h"
#include "support/register_once.h"
#include "support/temporary_folder.h"

namespace codmoe::moe {
namespace {

const std::vector<std::string> kRepeated = {"texture", "texture", "frequency"};

MoeOptions read_pool(const core::Json& experts) {
  MoeOptions options;
  core::read_options(core::Json{{"experts", experts}}, {}, options);
  return options;
}

TEST(RepeatedExperts, HaveWeightsOfTheirOwn) {
  SparseCODMoE layer(8, read_pool(kRepeated));
  const auto state = nn::state_dict(*layer);
  int64_t compared = 0;
  for (const auto& [name, tensor] : state) {
    if (!name.starts_with("experts.0.") || !name.ends_with("conv.weight")) continue;
    const auto& twin = state.at("experts.1." + name.substr(10));
    EXPECT_NE(twin.data_ptr(), tensor.data_ptr()) << name;
    EXPECT_FALSE(twin.equal(tensor)) << name;  // drawn one after the other
    ++compared;
  }
  EXPECT_EQ(compared, 5);  // four branches and the fusion
}

TEST(RepeatedExperts, LearnFromTheirOwnImagesAlone) {
  auto layer = make_layer(8, read_pool(kRepeated), 1);
  force_routes(layer, {0, 9, 5});  // the second texture expert and the frequency expert
  core::TensorMap old;
  for (const auto& [name, tensor] : nn::state_dict(*layer)) old[name] = tensor.clone();
  const auto x = test::randn({4, 8, 5, 5}, 2);
  const auto loss = layer->forward(x).y_bchw.square().mean();
  loss.backward();
  {
    const at::NoGradGuard no_grad;
    for (auto& parameter : layer->parameters()) {
      if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 0.01);
    }
  }
  for (const auto& [name, tensor] : nn::state_dict(*layer)) {
    const auto& before = old.at(name);
    if (name.starts_with("experts.0.")) {
      EXPECT_TRUE(tensor.equal(before)) << name;
    } else if (name.ends_with("fusion.conv.weight")) {
      EXPECT_FALSE(tensor.equal(before)) << name;
    }
  }
  EXPECT_LT(layer->forward(x).y_bchw.square().mean().item<double>(), loss.item<double>());
}

TEST(RepeatedExperts, AreSavedAndLoaded) {
  auto layer = make_layer(8, read_pool(kRepeated), 3);
  const test::TemporaryFolder folder;
  const auto file = folder / "pool.safetensors";
  core::save_safetensors(file, nn::state_dict(*layer));
  SparseCODMoE loaded(8, read_pool(kRepeated));
  loaded->to(at::kDouble);
  nn::load_state(*loaded, core::load_safetensors(file).tensors);  // refuses any name that is missing or too much
  layer->eval();
  loaded->eval();
  const auto x = spread_images({6, 8, 5, 5}, 4);
  EXPECT_TRUE(loaded->forward(x).y_bchw.equal(layer->forward(x).y_bchw));
}

class HalfExpert final : public experts::Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override { return x_bchw / 2; }
};

TEST(OwnExpert, IsANameLikeTheOthers) {
  test::register_once("pool_test_half", [](const auto&) { return std::make_shared<HalfExpert>(); });
  auto options = read_pool({"pool_test_half", "edge", "pool_test_half"});
  options.top_k = 1;
  auto layer = make_layer(8, options, 5);
  force_routes(layer, {0, 0, 9});
  const auto x = test::randn({2, 8, 3, 3}, 6);
  EXPECT_TRUE(test::is_near(layer->forward(x).y_bchw, x / 2, 1e-14));

  try {
    read_pool({"edge", "pool_test_hlaf"});
    FAIL() << "it was accepted";
  } catch (const core::UsageError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("experts.1 is 'pool_test_hlaf'"), std::string::npos) << message;
    for (const auto& name : experts::expert_names()) EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_NE(message.find("pool_test_half"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace codmoe::moe
