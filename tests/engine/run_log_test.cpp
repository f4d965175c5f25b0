#include "codmoe/engine/run_log.h"

#include <gtest/gtest.h>

#include "codmoe/core/files.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

const std::string kFirst = "{\"step\":2,\"epoch\":1,\"val\":{\"IoU\":0.5}}\n";

TEST(RunLog, KeepsTheLinesOfItsRunAlone) {
  const test::TemporaryFolder folder;
  const auto file = folder / "metrics.jsonl";
  core::write_file_atomically(file, kFirst +
                                        "{\"step\":\"3\"}\n{\"step\":3,\"epoch\":[]}\n[4]\n\n"
                                        "{\"step\":9,\"epoch\":1}\n{\"step\":3,\"epo");
  const RunLog log(folder, {.step = 4, .epoch = 2});
  EXPECT_EQ(core::read_file(file), kFirst);
}

TEST(RunLog, ScoresOfAStepAreThoseOfItsLastLine) {
  const test::TemporaryFolder folder;
  core::write_file_atomically(folder / "metrics.jsonl", kFirst +
                                                            "{\"step\":2,\"val\":{\"IoU\":0.75}}\n"
                                                            "{\"step\":2,\"val\":0.1}\n{\"step\":\"2\"}\nno JSON\n");
  EXPECT_EQ(validation_scores(folder, 2), (core::Json{{"IoU", 0.75}}));
  EXPECT_TRUE(validation_scores(folder, 3).empty());
}

}  // namespace
}  // namespace codmoe::engine
