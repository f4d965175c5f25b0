#include "codmoe/config/yaml.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "codmoe/engine/options.h"
#include "support/temporary_folder.h"

namespace codmoe::config {
namespace {

namespace fs = std::filesystem;

fs::path write(const fs::path& folder, const std::string& text) {
  std::ofstream(folder / "run.yaml") << text;
  return folder / "run.yaml";
}

engine::TrainOptions load_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const test::TemporaryFolder folder;
  return load<engine::TrainOptions>(write(folder, text), overrides);
}

/// The one line that a user sees.
std::string message_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_text(text, overrides);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "no error";
}

void expect_parts(const std::string& message, const std::vector<std::string>& parts) {
  for (const auto& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << "no '" << part << "' in: " << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

TEST(Yaml, ReadsNestedTypedValues) {
  const auto options =
      load_text("seed: 7\nmoe:\n  experts: [edge, texture]\n  dispatch: dense\n  balance: {min: 1e-3, max: 0.5}\n");
  EXPECT_EQ(options.seed, 7);
  EXPECT_EQ(options.model.moe.experts, (std::vector<std::string>{"edge", "texture"}));
  EXPECT_EQ(options.model.moe.dispatch, moe::Dispatch::dense);
  EXPECT_DOUBLE_EQ(options.model.moe.balance.min, 1e-3);
  EXPECT_EQ(options.schedule.epochs, engine::TrainOptions{}.schedule.epochs);
}

TEST(Yaml, UnknownKeyNamesPlaceAndWhatIsAllowed) {
  expect_parts(message_of("seed: 1\nmoe:\n  topk: 2\n"), {"run.yaml:3", "moe.topk", "top_k", "dispatch"});
}

TEST(Yaml, WrongTypeBadValueAndBadNameAreNamed) {
  expect_parts(message_of("moe: {top_k: two}\n"), {"run.yaml:1", "moe.top_k", "whole number", "two"});
  expect_parts(message_of("moe: {top_k: 1.5}\n"), {"moe.top_k", "whole number", "1.5"});
  expect_parts(message_of("\noptimizer:\n  lr: -1\n"), {"run.yaml:3", "optimizer.lr", "above 0", "-1"});
  expect_parts(message_of("moe: {norm: instance}\n"), {"moe.norm", "batch, group, layer", "instance"});
  expect_parts(message_of("moe: 3\n"), {"moe", "mapping", "3"});
  expect_parts(message_of("seed: yes\n"), {"seed", "whole number", "yes"});
}

TEST(Yaml, BadCombinationsAreNamed) {
  expect_parts(message_of("moe:\n  top_k: 7\n"), {"run.yaml:2", "moe.top_k", "[1, 6]", "7"});
  expect_parts(message_of("moe:\n  experts: [texture, colour]\n"), {"moe.experts.1", "colour", "texture, frequency"});
  expect_parts(message_of("moe: {balance: {start: 9, end: 3}}\n"), {"moe.balance.end", "after start", "3"});
  expect_parts(message_of("backbone: {name: vgg}\n"), {"backbone.name", "vgg", "tf_efficientnet_lite0"});
  expect_parts(message_of("moe_strides: [12]\n"), {"moe_strides", "4, 8, 16, 32", "12"});
  expect_parts(message_of("seed: 1\nbackbone: {checkpoint: [4, 5]}\n"),
               {"run.yaml:2", "backbone.checkpoint", "4, 8, 16, 32", "5"});
  expect_parts(message_of("backbone: {drop_path: 1.5}\n"), {"backbone.drop_path", "[0, 1]", "1.5"});
}

TEST(Yaml, BrokenFilesAreNamed) {
  expect_parts(message_of("seed: 1\nmoe: {top_k: 2\n"), {"run.yaml:"});
  expect_parts(message_of("seed: 1\nseed: 2\n"), {"run.yaml:2", "seed", "twice"});
  EXPECT_THROW(read_yaml("no/such/file.yaml"), core::UsageError);
}

TEST(Yaml, FilesThatWouldGrowWithoutEndAreRefused) {
  expect_parts(message_of("data: &x {train: *x}\n"), {"run.yaml:1", "levels deep"});
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    laughs += fmt::format("a{0}: &a{0} [*a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}, *a{1}]\n", i, i - 1);
  }
  expect_parts(message_of(laughs), {"run.yaml:", "values"});
}

TEST(Yaml, ANumberTooLargeIsNotZero) {
  expect_parts(message_of("seed: 99999999999999999999\n"), {"run.yaml:1", "seed"});
}

TEST(Yaml, OverridesWinAndAreNamed) {
  EXPECT_EQ(load_text("moe: {top_k: 1}\n", {"moe.top_k=3", "seed=9"}).model.moe.top_k, 3);
  EXPECT_EQ(load_text("", {"moe.experts=[edge, hybrid]"}).model.moe.experts.size(), 2U);
  expect_parts(message_of("", {"moe.top_k=9"}), {"--set moe.top_k=9", "moe.top_k", "[1, 6]"});
  expect_parts(message_of("", {"moe.topk=1"}), {"--set moe.topk=1", "unknown"});
  for (const auto* broken : {"moe.top_k", "=3", "moe.=3", "moe..top_k=3"}) {
    expect_parts(message_of("", {broken}), {"--set", "key.path=value"});
  }
}

TEST(Yaml, PathsAreRelativeToTheirFile) {
  const test::TemporaryFolder folder;
  const auto file = write(folder, "data: {train: {dir: sets/a}}\nbackbone: {weights: /abs/w.safetensors}\n");
  const auto options = load<engine::TrainOptions>(file, {"data.val.dir=b"});
  EXPECT_EQ(options.data.train.dir, file.parent_path() / "sets/a");
  EXPECT_EQ(options.model.backbone.weights, "/abs/w.safetensors");
  EXPECT_EQ(options.data.val.dir, fs::current_path() / "b");
  EXPECT_TRUE(load<engine::TrainOptions>(file, {"backbone.weights="}).model.backbone.weights.empty());
}

TEST(Yaml, DumpReadsBackAsItself) {
  engine::TrainOptions options;
  options.data.train.dir = "/a folder/with: colon";
  options.optimizer.lr = 1.0 / 3.0;
  options.model.moe.experts = {"edge"};
  options.model.moe.top_k = 1;
  const auto text = dump(options);
  EXPECT_EQ(dump(load_text(text)), text);
  EXPECT_DOUBLE_EQ(load_text(text).optimizer.lr, 1.0 / 3.0);
}

TEST(Yaml, EveryConfigOfTheRepositoryIsValid) {
  int read = 0;
  for (const auto* folder : {"", "models", "recipes"}) {
    for (const auto& entry : fs::directory_iterator(fs::path(CODMOE_SOURCE_DIR) / "configs" / folder)) {
      if (!entry.is_regular_file()) continue;
      EXPECT_NO_THROW(load<engine::TrainOptions>(entry.path(), {})) << entry.path();
      ++read;
    }
  }
  EXPECT_GE(read, 2);
}

}  // namespace
}  // namespace codmoe::config
