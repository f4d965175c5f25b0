#include "codmoe/engine/warm_start.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "small_run.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

class WarmStart : public ::testing::Test {
 protected:
  /// Saves the model's weights after `change`, then loads them into a second one.
  template <class Change>
  nn::LoadReport load(const Change& change, bool partial) {
    auto tensors = nn::state_dict(*from_);
    change(tensors);
    core::save_safetensors(folder_ / "w.safetensors", tensors);
    return warm_start(*to_, {.checkpoint = folder_ / "w.safetensors", .partial = partial});
  }
  template <class Change>
  std::string refusal(const Change& change, bool partial) {
    try {
      load(change, partial);
    } catch (const core::Error& error) {
      return error.what();
    }
    return "";
  }

  test::TemporaryFolder folder_;
  model::DetectorOptions options_ = testing::small_options(folder_).model;
  model::Detector from_{options_}, to_{options_};
};

constexpr auto kKey = "decoder.head.0.weight";
void without_head(core::TensorMap& tensors) { tensors.erase(kKey); }

TEST_F(WarmStart, TakesEveryWeight) {
  const auto report = load([](auto&) {}, false);
  EXPECT_TRUE(report.ok());
  const auto loaded = nn::state_dict(*to_);
  for (const auto& [name, tensor] : nn::state_dict(*from_)) EXPECT_TRUE(tensor.equal(loaded.at(name))) << name;
}

TEST_F(WarmStart, WhatDoesNotFitIsRefusedUnlessPartIsAskedFor) {
  const auto message = refusal(without_head, false);
  EXPECT_NE(message.find(std::string("1 missing: ") + kKey), std::string::npos) << message;
  EXPECT_NE(message.find("init.partial"), std::string::npos) << message;
  const auto before = nn::state_dict(*to_).at(kKey).clone();
  const auto report = load(without_head, true);
  EXPECT_EQ(report.missing, std::vector<std::string>{kKey});
  EXPECT_TRUE(nn::state_dict(*to_).at(kKey).equal(before));
  EXPECT_TRUE(
      nn::state_dict(*to_).at("decoder.head.1.weight").equal(nn::state_dict(*from_).at("decoder.head.1.weight")));
}

TEST_F(WarmStart, MisshapedAndUnexpectedAreNamedToo) {
  const auto change = [](core::TensorMap& tensors) {
    tensors[kKey] = at::ones({2, 2});
    tensors["other.weight"] = at::ones({2});
  };
  const auto message = refusal(change, false);
  EXPECT_NE(message.find("1 unexpected: other.weight"), std::string::npos) << message;
  EXPECT_NE(message.find("1 mis-shaped: "), std::string::npos) << message;
  const auto report = load(change, true);
  EXPECT_EQ(report.misshaped.size(), 1U);
}

TEST_F(WarmStart, NothingThatMatchesIsRefusedEvenInPart) {
  const auto message = refusal([](core::TensorMap& tensors) { tensors = {{"a", at::ones({1})}}; }, true);
  EXPECT_NE(message.find("doesn't fit the model"), std::string::npos) << message;
}

TEST_F(WarmStart, FolderWithoutCheckpointIsNamed) {
  EXPECT_THROW(warm_start(*to_, {.checkpoint = folder_ / "none"}), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
