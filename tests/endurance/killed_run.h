// A small training run that is killed and resumed, beside one that is left alone.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <random>

#include "codmoe/core/files.h"
#include "codmoe/data/synth.h"
#include "endurance/child.h"
#include "endurance/size.h"
#include "support/temporary_folder.h"

namespace codmoe::test {

/// Runs are folders: "alone" and "killed".
class KilledRun : public ::testing::Test {
 protected:
  using Clock = std::chrono::steady_clock;

  void write_run(int64_t images, int64_t batch_size, int64_t epochs) {
    data::write_synth(folder_ / "data", {.count = images, .size = 32, .seed = 3});
    std::ofstream(folder_ / "run.yaml") << fmt::format(
        "backbone: {{name: tiny}}\n"
        "decoder: {{width: 8}}\n"
        "moe: {{router: {{noise: 0.5}}}}\n"
        "data: {{train: {{dir: data}}, val: {{dir: data}}, loader: {{batch_size: {}, size: 32}}}}\n"
        "schedule: {{epochs: {}}}\n"
        "engine: {{log_every: 1, ema: {{decay: 0.9}}}}\n",
        batch_size, epochs);
  }
  /// Starts or resumes.
  std::unique_ptr<Child> start(const std::string& run, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"--config", (folder_ / "run.yaml").string(),
                                       "--output", (folder_ / run).string(),
                                       "--resume", "auto",
                                       "--device", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<Child>("codmoe-train", arguments, log_of(run));
  }
  std::filesystem::path log_of(const std::string& run) const { return folder_ / (run + ".log"); }
  std::string file_of(const std::string& run, const std::string& name) const {
    return core::read_file(folder_ / run / "checkpoints" / name);
  }
  /// Of the killed run.
  std::string last_step() const {
    std::error_code none;
    return std::filesystem::read_symlink(folder_ / "killed/checkpoints/last", none).string();
  }
  bool is_writing() const {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "killed/checkpoints", none)) {
      if (entry.path().filename().string().find(".tmp-") != std::string::npos) return true;
    }
    return false;
  }
  /// Waits a random part of the time. Whether the child still runs then.
  bool pause(Child& child, double seconds) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds * share_(random_));
    return child.wait_for([&] { return Clock::now() >= until; });
  }

  TemporaryFolder folder_;

 private:
  std::mt19937 random_{7};
  std::uniform_real_distribution<double> share_{0.0, 1.0};
};

}  // namespace codmoe::test
