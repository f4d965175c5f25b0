// A long run takes no more memory at its end than in its middle.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "codmoe/core/device.h"
#include "codmoe/data/synth.h"
#include "codmoe/engine/trainer.h"
#include "endurance/size.h"
#include "support/temporary_folder.h"

namespace codmoe {
namespace {

/// Memory by the lines of the log, in MiB.
std::vector<int64_t> memory_of(const std::filesystem::path& log, const char* where) {
  std::ifstream stream(log);
  std::vector<int64_t> values;
  for (std::string line; std::getline(stream, line);) {
    const auto entry = core::Json::parse(line);
    if (entry.contains("memory") && entry["memory"].contains(where)) values.push_back(entry["memory"][where]);
  }
  return values;
}

TEST(Soak, MemoryIsFlat) {
  const auto steps = test::size_from("CODMOE_SOAK_STEPS", 120);
  const test::TemporaryFolder folder;
  data::write_synth(folder / "data", {.count = 8, .size = 32, .seed = 3});
  engine::TrainOptions options;
  options.model.backbone = {.name = "tiny", .weights = {}};
  options.model.decoder.width = 8;
  options.data.train.dir = options.data.val.dir = folder / "data";
  options.data.loader = {.batch_size = 2, .size = 32, .threads = 2, .prefetch = 2};
  options.schedule.epochs = steps / 4;
  options.engine.save_every = options.engine.val_every = std::max<int64_t>(1, options.schedule.epochs / 40);
  options.engine.log_every = std::max<int64_t>(1, steps / 400);
  const auto device = core::parse_device("auto");
  engine::Trainer(options, folder / "run", device).run();
  for (const auto* where : {"host_mib", "device_mib"}) {
    const auto memory = memory_of(folder / "run/metrics.jsonl", where);
    if (device.is_cpu() && std::string(where) == "device_mib") continue;
    ASSERT_GE(memory.size(), 100U);
    const auto quarter = static_cast<std::ptrdiff_t>(memory.size() / 4);
    const auto middle = *std::max_element(memory.begin() + quarter, memory.begin() + 2 * quarter);
    const auto end = *std::max_element(memory.end() - quarter, memory.end());
    RecordProperty(std::string(where) + "_middle", std::to_string(middle));
    std::printf("%s: %ld at first, at most %ld in the second quarter and %ld in the last of %ld steps\n", where,
                static_cast<long>(memory.front()), static_cast<long>(middle), static_cast<long>(end),
                static_cast<long>(steps));
    EXPECT_LE(end, middle + 8) << where;
  }
}

}  // namespace
}  // namespace codmoe
