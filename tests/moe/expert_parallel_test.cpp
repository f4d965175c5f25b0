// Experts spread over ranks give what `batched` gives on one rank with the whole batch.
#include "codmoe/moe/expert_parallel.h"

#include "moe/spread_run.h"
#include "support/register_once.h"

#include "codmoe/dist/shared_statistics.h"

namespace codmoe::moe {
namespace {

using test::run_ranks;

constexpr double kTolerance = 1e-10;

MoeOptions spatial(nn::NormKind norm) { return {.routing = RoutingKind::spatial, .norm = norm}; }

const SpreadCase kCases[] = {
    {.parts = {7}},
    {.parts = {3, 4}},
    {.parts = {3, 1, 2, 4}},
    {.parts = {2, 0, 5, 0}},                        // ranks without images
    {.parts = {3, 4}, .bias = {0, 1, 0, 2, 0, 0}},  // rank 0 has one of the two, then none
    {.parts = {2, 1, 3, 2}, .bias = {0, 0, 0, 0, 2, 1}},
    {.parts = {0, 1}, .bias = {2, 1, 0, 0, 0, 0}},                                 // one image, which goes elsewhere
    {.parts = {3, 1, 2}, .options = {.experts = {"edge", "hybrid"}, .top_k = 1}},  // a rank without experts
    {.parts = {3, 1, 2}, .options = {.top_k = 6}},
    {.parts = {1, 4, 2}, .options = {.norm = nn::NormKind::group}},
    {.parts = {1, 4, 2}, .options = spatial(nn::NormKind::layer)},
    {.parts = {1, 4, 2}, .options = spatial(nn::NormKind::batch), .training = false},
    {.parts = {1, 4, 2}, .training = false},
    {.parts = {2, 1, 3, 2}, .wiring = Wiring::sequence},
    {.parts = {2, 0, 5}, .wiring = Wiring::side_by_side},
    {.parts = {2, 1, 3, 2}, .wiring = Wiring::side_by_side, .bias = {0, 0, 0, 0, 2, 1}},
};

class ExpertParallel : public testing::TestWithParam<SpreadCase> {};
INSTANTIATE_TEST_SUITE_P(Cases, ExpertParallel, testing::ValuesIn(kCases));

TEST_P(ExpertParallel, IsTheBatchedLayerOnTheWholeBatch) {
  const auto& c = GetParam();
  const auto images = spread_batch(c), upstream = test::randn(images.sizes(), 3);
  const auto whole = std::make_shared<SpreadModel>(c);
  const auto expected = run_model(*whole, images, upstream);
  run_ranks(c.ranks(), [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(c);
    model->spread(group);
    const auto actual = run_rank(*model, c, group, images, upstream);
    if (actual.y.numel() > 0) {
      EXPECT_TRUE(test::is_near(actual.y, c.part(expected.y, group.rank()), kTolerance));
      EXPECT_TRUE(test::is_near(actual.input_gradient, c.part(expected.input_gradient, group.rank()), kTolerance));
    }
    EXPECT_TRUE(test::are_near(actual.gradients, expected.gradients, kTolerance));
    EXPECT_TRUE(test::are_near(actual.buffers, expected.buffers, kTolerance));
  });
}

class WithoutGradients : public testing::TestWithParam<SpreadCase> {};
INSTANTIATE_TEST_SUITE_P(
    ExpertParallel, WithoutGradients,
    testing::Values(SpreadCase{.parts = {1, 4, 2}, .training = false},
                    SpreadCase{.parts = {0, 2}, .options = spatial(nn::NormKind::batch), .training = false},
                    SpreadCase{.parts = {2, 0, 4}, .wiring = Wiring::sequence}));

TEST_P(WithoutGradients, IsTheBatchedLayerOnTheWholeBatch) {
  const auto& c = GetParam();
  const at::NoGradGuard here;
  const auto images = spread_batch(c), expected = SpreadModel(c).forward(images);
  run_ranks(c.ranks(), [&](dist::Group& group) {
    const at::NoGradGuard there;  // on this thread
    SpreadModel model(c);
    model.spread(group);
    const auto y = model.forward(c.part(images, group.rank()));
    EXPECT_TRUE(y.numel() == 0 || test::is_near(y, c.part(expected, group.rank()), kTolerance));
  });
}

/// Plain gradient descent towards random maps; the loss is the mean over the whole batch's images.
void descend(SpreadModel& model, const at::Tensor& images, const at::Tensor& targets, int64_t batch,
             dist::Group* group) {
  model.zero_grad();
  const auto loss = (model.forward(images) - targets).square().sum() / static_cast<double>(batch);
  group != nullptr ? backward_on_ranks(model, *group, loss) : loss.backward();
  const at::NoGradGuard no_grad;
  for (auto& parameter : model.parameters()) {
    if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 1e-4);
  }
}

constexpr int kSteps = 20;

core::TensorMap state_after_steps(SpreadModel& model, const SpreadCase& c, dist::Group* group) {
  for (uint64_t step = 0; step < kSteps; ++step) {
    auto images = spread_batch(c, 10 * step), targets = test::randn(images.sizes(), 10 * step + 5);
    if (group != nullptr) {
      images = c.part(images, group->rank());
      targets = c.part(targets, group->rank());
    }
    descend(model, images, targets, c.batch(), group);
  }
  if (group != nullptr) gather_experts(model, *group);
  return nn::state_dict(model);
}

TEST(ExpertParallel, TwentyStepsGiveTheSameWeightsOnAnyNumberOfRanks) {
  const MoeOptions small{.experts = {"edge", "hybrid", "texture", "attention"}};
  const SpreadCase one{.parts = {6}, .options = small};
  const auto whole = std::make_shared<SpreadModel>(one);
  const auto expected = state_after_steps(*whole, one, nullptr);
  for (const std::vector<int64_t>& parts : {std::vector<int64_t>{2, 4}, {1, 2, 1, 2}}) {
    const SpreadCase c{.parts = parts, .options = small};
    run_ranks(c.ranks(), [&](dist::Group& group) {
      const auto model = std::make_shared<SpreadModel>(c);
      model->spread(group);
      EXPECT_TRUE(test::are_near(state_after_steps(*model, c, &group), expected, kTolerance));
    });
  }
}

void make_stale(const SpreadModel& model, dist::Group& group) {
  const auto owners = expert_owners(model);
  for (const auto& [name, tensor] : nn::state_dict(model)) {
    if (owners.contains(name) && owners.at(name) != group.rank()) at::Tensor(tensor).zero_();
  }
}

TEST(ExpertParallel, AStateMovesBetweenNumbersOfRanksBitForBit) {
  const SpreadCase three{.parts = {2, 2, 2}}, two{.parts = {4, 2}};
  const auto plain = nn::state_dict(*std::make_shared<SpreadModel>(three, /*seed=*/77));
  core::TensorMap moved;
  run_ranks(three.ranks(), [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(three);
    model->spread(group);
    nn::load_state(*model, plain);
    descend(*model, three.part(spread_batch(three), group.rank()), at::zeros({}, at::kDouble), 6, &group);
    gather_experts(*model, group);
    if (group.leads()) moved = nn::state_dict(*model);
  });
  EXPECT_FALSE(test::are_equal(moved, plain));
  run_ranks(two.ranks(), [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(two);
    model->spread(group);
    nn::load_state(*model, moved);
    make_stale(*model, group);
    gather_experts(*model, group);
    EXPECT_TRUE(test::are_equal(nn::state_dict(*model), moved));
  });
}

TEST(ExpertParallel, OwnersAreNamedAsInTheStateDict) {
  const SpreadCase c{.parts = {1, 1}, .wiring = Wiring::sequence};
  EXPECT_TRUE(expert_owners(*std::make_shared<SpreadModel>(c)).empty());
  run_ranks(2, [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(c);
    model->spread(group);
    const auto owners = expert_owners(*model);
    for (const auto& [name, tensor] : nn::state_dict(*model)) {
      if (name.find(".router.") != std::string::npos) {
        EXPECT_FALSE(owners.contains(name)) << name;
      } else {
        EXPECT_EQ(owners.at(name), name.substr(std::string("moe0.experts.").size(), 1) < "3" ? 0 : 1) << name;
      }
    }
    EXPECT_EQ(owners.at("moe1.experts.5.local.norm.running_mean"), 1);
    const auto layer = model->layers[0];
    EXPECT_EQ(expert_owners(*layer).at("experts.0.fusion.conv.weight"), 0);
  });
}

TEST(ExpertParallel, ARankHasNoGradientOfExpertsElsewhere) {
  const SpreadCase c{.parts = {3, 4}};
  run_ranks(2, [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(c);
    model->spread(group);
    model->forward(c.part(spread_batch(c), group.rank())).sum().backward();
    for (const auto& [name, owner] : expert_owners(*model)) {
      const auto* parameter = model->named_parameters().find(name);
      if (parameter == nullptr || owner == group.rank()) continue;
      EXPECT_FALSE(parameter->grad().defined()) << name;
    }
  });
}

enum class Frozen { images, experts, images_and_some_experts };

void freeze(SpreadModel& model, Frozen frozen) {
  for (auto& item : model.named_parameters()) {
    const bool first = item.key().find("experts.0.") != std::string::npos;
    const bool expert = item.key().find("experts.") != std::string::npos;
    if (frozen == Frozen::images) continue;
    if (frozen == Frozen::experts ? expert : first) item.value().requires_grad_(false);
  }
}

class PartlyFrozen : public testing::TestWithParam<Frozen> {};
INSTANTIATE_TEST_SUITE_P(Parts, PartlyFrozen,
                         testing::Values(Frozen::images, Frozen::experts, Frozen::images_and_some_experts));

/// No rank waits for a backward pass that another leaves out.
TEST_P(PartlyFrozen, GradientsAreThoseOfOneRank) {
  const SpreadCase c{.parts = {2, 0, 4}, .wiring = Wiring::sequence, .bias = {2, 0, 1, 0, 0, 0}};
  const auto images = spread_batch(c), upstream = test::randn(images.sizes(), 3);
  const auto forward = [&](SpreadModel& model, const at::Tensor& x) {
    freeze(model, GetParam());
    return model.forward(x.detach().requires_grad_(GetParam() == Frozen::experts));
  };
  const auto whole = std::make_shared<SpreadModel>(c);
  forward(*whole, images).backward(upstream);
  const auto expected = test::gradients(*whole);
  run_ranks(c.ranks(), [&](dist::Group& group) {
    const auto model = std::make_shared<SpreadModel>(c);
    model->spread(group);
    const auto y = forward(*model, c.part(images, group.rank()));
    backward_on_ranks(*model, group, y, c.part(upstream, group.rank()));
    auto own = test::gradients(*model);
    dist::fill_from_owners(own, expert_owners(*model), group);
    EXPECT_TRUE(test::are_near(own, expected, kTolerance));
  });
}

/// Numbers the images it sees, and looks where its batch norms would ask for statistics of other ranks.
class LookingExpert : public experts::Expert {
 public:
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask&) override {
    EXPECT_EQ(dist::SharedStatistics::of_norms(), nullptr);
    EXPECT_NE(dist::SharedStatistics::of_loads(), nullptr);
    const auto number = at::arange(x_bchw.size(0), x_bchw.options()).view({-1, 1, 1, 1});
    return number.expand_as(x_bchw);  // nothing flows back to x
  }
};

TEST(ExpertParallel, ExpertsSeeTheWholeBatchInOrderAndAskNobodyForStatistics) {
  test::register_once("expert_parallel_test_looking", [](const auto&) { return std::make_shared<LookingExpert>(); });
  const SpreadCase c{.parts = {2, 3}, .options = {.experts = {"expert_parallel_test_looking"}, .top_k = 1}};
  run_ranks(2, [&](dist::Group& group) {
    SpreadModel model(c);
    model.spread(group);
    const dist::SharedStatistics shared(&group, /*norms=*/true);
    const auto x = c.part(spread_batch(c), group.rank()).clone().requires_grad_();
    const auto y = model.forward(x);
    const auto first = c.first(group.rank());
    const auto numbers = at::arange(first, first + x.size(0), x.options().requires_grad(false)).view({-1, 1, 1, 1});
    EXPECT_TRUE(y.equal(numbers.expand_as(y))) << group.rank();
    y.sum().backward();
    EXPECT_EQ(dist::SharedStatistics::of_norms(), &group);
  });
}

TEST(ExpertParallel, ImagesOfTwoSizesAreRefusedOnEveryRank) {
  run_ranks(2, [](dist::Group& group) {
    SpreadModel model(SpreadCase{.parts = {1, 1}});
    model.spread(group);
    try {
      model.forward(at::zeros({1, kSpreadDim, 4 + group.rank(), 4}, at::kDouble));
      ADD_FAILURE() << "not refused";
    } catch (const c10::Error& error) {
      const std::string line = error.what_without_backtrace();
      EXPECT_NE(line.find("rank 1 has [6, 5, 4] Double, rank 0 has [6, 4, 4] Double"), std::string::npos) << line;
    }
  });
}

}  // namespace
}  // namespace codmoe::moe
