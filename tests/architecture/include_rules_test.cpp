// The project's own sources obey its layering, and each checker refuses a planted violation.
#include "architecture/include_rules.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/temporary_folder.h"

namespace codmoe::architecture {
namespace {

namespace fs = std::filesystem;

const Layers kDirect = {
    {"core", {}},
    {"dist", {"core"}},
    {"ops", {"core"}},
    {"nn", {"core", "ops"}},
    {"experts", {"nn", "ops"}},
    {"moe", {"experts", "ops"}},
    {"backbone", {"nn"}},
    {"model", {"backbone", "moe"}},
    {"loss", {"core", "ops"}},
    {"metrics", {"core", "ops"}},
    {"data", {"core", "ops"}},
    {"report", {"metrics", "data"}},
    {"engine", {"model", "loss", "report"}},
    {"config", {"engine"}},
};

/// A folder of planted sources.
class PlantedTree : public testing::Test {
 protected:
  void plant(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::vector<std::string> violations() const { return include_violations(root_, closure(kDirect)); }

  test::TemporaryFolder root_;
};

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text;
}

TEST(Architecture, SourcesIncludeNothingAbove) {
  ASSERT_TRUE(fs::exists(fs::path(CODMOE_SOURCE_DIR) / "include/codmoe/core")) << "run in the source folder";
  const auto found = include_violations(CODMOE_SOURCE_DIR, closure(kDirect));
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Architecture, CmakeLinksWhatTheLayersSay) {
  EXPECT_EQ(read_cmake_modules(fs::path(CODMOE_SOURCE_DIR) / "CMakeLists.txt"), kDirect);
}

TEST(Architecture, NoFileIsLongerThan400Lines) {
  const auto found = long_files(CODMOE_SOURCE_DIR, 400);
  EXPECT_TRUE(found.empty()) << joined(found);
}

TEST(Architecture, ClosureReachesThroughAndStopsAtSiblings) {
  const Layers all = closure(kDirect);
  EXPECT_EQ(all.at("moe"), (std::set<std::string>{"moe", "experts", "nn", "ops", "core"}));
  EXPECT_EQ(all.at("engine").count("data"), 1u);
  EXPECT_EQ(all.at("model").count("data"), 0u);
  EXPECT_EQ(all.at("loss").count("metrics"), 0u);
}

TEST_F(PlantedTree, UpwardIncludeIsRefusedAndNamed) {
  plant("src/nn/block.cpp", "#include <vector>\n#include \"codmoe/moe/router.h\"\n");
  const auto found = violations();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0], (root_ / "src/nn/block.cpp").string() + ":2: nn may not use moe");
}

TEST_F(PlantedTree, SiblingIncludeInAPublicHeaderIsRefused) {
  plant("include/codmoe/loss/a.h", "#pragma once\n#  include <codmoe/metrics/scores.h>\n");
  ASSERT_EQ(violations().size(), 1u);
}

TEST_F(PlantedTree, ModulesBelowAndTheModuleItselfAreAllowed) {
  plant("src/engine/a.cpp", "#include \"codmoe/engine/a.h\"\n#include \"codmoe/data/loader.h\"\n");
  plant("apps/codmoe-x.cpp", "#include \"codmoe/config/load.h\"\n");
  EXPECT_TRUE(violations().empty()) << joined(violations());
}

TEST_F(PlantedTree, LibrariesOutsideTheirModuleAreRefused) {
  plant("src/engine/a.cpp", "#include <opencv2/core.hpp>\n");
  plant("src/data/a.cpp", "#include <yaml-cpp/yaml.h>\n#include <opencv2/core.hpp>\n");
  plant("src/ops/cuda/a.cu", "#include <c10/cuda/CUDAStream.h>\n");
  plant("include/codmoe/nn/a.h", "#include <torch/torch.h>\n");
  plant("src/nn/b.cpp", "#include \"../moe/router.h\"\n");
  EXPECT_EQ(violations().size(), 5u) << joined(violations());
}

TEST_F(PlantedTree, ModuleMissingFromTheTableIsRefused) {
  plant("src/extra/a.cpp", "#include \"codmoe/core/error.h\"\n");
  EXPECT_EQ(violations().size(), 1u);
}

TEST_F(PlantedTree, LongFileIsFound) {
  plant("src/core/at_limit.cpp", std::string(400, '\n'));
  plant("benchmarks/peer.py", std::string(401, '\n'));
  EXPECT_EQ(long_files(root_, 400), std::vector<std::string>{(root_ / "benchmarks/peer.py").string() + ": 401 lines"});
}

TEST_F(PlantedTree, WrongCmakeDependencyIsSeen) {
  plant("CMakeLists.txt", "codmoe_module(core LINKS x)\ncodmoe_module(ops PCH nn DEPS core moe PRIVATE_LINKS y)\n");
  EXPECT_EQ(read_cmake_modules(root_ / "CMakeLists.txt"), (Layers{{"core", {}}, {"ops", {"core", "moe"}}}));
}

}  // namespace
}  // namespace codmoe::architecture
