// codmoe-data: makes, checks and describes datasets; brings weights in and out.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/doctor.h"
#include "codmoe/data/synth.h"
#include "common/cli.h"
#include "data/weights.h"

namespace fs = std::filesystem;

namespace {

using namespace codmoe;

/// Makes one command-line option of each field: `held_out` becomes --held-out.
struct OptionMaker {
  CLI::App& app;

  template <class T>
  void operator()(const std::string& key, T& field, const core::Range& range = {}) const {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    app.add_option(flag, field, range.text())->capture_default_str()->check([range](const std::string& text) {
      double value = 0;
      const bool good = CLI::detail::lexical_cast(text, value) && range.contains(value);
      return good ? std::string() : fmt::format("must be {}; it is '{}'", range.text(), text);
    });
  }
};

void run_synth(const fs::path& output, const data::SynthOptions& options) {
  try {
    options.check();
  } catch (const core::BadOption& bad) {
    throw core::UsageError(fmt::format("synth: {} {}", bad.key(), bad.what()));
  }
  {
    core::ProgressLine line("drawing", options.count, "images");
    data::write_synth(output, options, [&](int64_t done) { line.update(done); });
  }
  fmt::print("{}: {} images of {}x{}, seed {}\n", output.string(), options.count, options.size, options.size,
             options.seed);
  if (options.held_out > 0) {
    fmt::print("train.txt: {}, val.txt: {}\n", options.count - options.held_out, options.held_out);
  }
}

data::Examination examine(const fs::path& dir) {
  std::optional<core::ProgressLine> line;
  return data::examine(dir, [&](int64_t done, int64_t total) {
    if (!line) line.emplace("reading", total, "pairs");
    line->update(done);
  });
}

void run_check(const std::vector<fs::path>& dirs) {
  std::vector<std::string> falsified;
  for (const fs::path& dir : dirs) {
    const data::Examination result = examine(dir);
    for (const data::Finding& finding : result.findings) {
      fmt::print("{:5}  {:14}  {}: {}\n", finding.falsifies ? "fault" : "note", core::name_of(finding.fault),
                 finding.file.string(), finding.detail);
    }
    const auto faults = std::count_if(result.findings.begin(), result.findings.end(),
                                      [](const data::Finding& finding) { return finding.falsifies; });
    fmt::print("{}: {} pairs read, {} faults, {} notes\n", dir.string(), result.pairs.size(), faults,
               std::ssize(result.findings) - faults);
    if (result.falsifies_scores()) falsified.push_back(dir.string());
  }
  if (!falsified.empty()) {
    throw core::Error(fmt::format("scores over {} would be wrong: see the faults above", fmt::join(falsified, ", ")));
  }
}

template <class Value>
void print_spread(const char* what, const data::Examination& result, const char* format, Value value) {
  std::vector<double> values;
  for (const data::PairFacts& pair : result.pairs) values.push_back(value(pair));
  std::sort(values.begin(), values.end());
  const auto print = [&](double number) { return fmt::format(fmt::runtime(format), number); };
  fmt::print("{:10} {:>9} {:>9} {:>9}\n", what, print(values.front()), print(values[values.size() / 2]),
             print(values.back()));
}

void describe_dataset(const fs::path& dir) {
  const data::Examination result = examine(dir);
  fmt::print("{}: {} pairs, {} findings (codmoe-data check lists them)\n", dir.string(), result.pairs.size(),
             result.findings.size());
  if (result.pairs.empty()) return;
  fmt::print("{:10} {:>9} {:>9} {:>9}\n", "", "least", "median", "most");
  print_spread("width", result, "{:.0f}", [](const auto& pair) { return static_cast<double>(pair.width); });
  print_spread("height", result, "{:.0f}", [](const auto& pair) { return static_cast<double>(pair.height); });
  print_spread("coverage", result, "{:.2f} %", [](const auto& pair) { return 100 * pair.coverage; });
}

void run_info(const fs::path& path) {
  if (!fs::is_directory(path)) {
    apps::describe_weights(path);
  } else if (apps::is_checkpoint(path)) {
    apps::describe_checkpoint(path);
  } else {
    describe_dataset(path);
  }
}

/// What the command line asks for.
struct Command {
  apps::CommonOptions common;
  data::SynthOptions synth;
  std::vector<fs::path> dirs;
  fs::path input;
  std::string backbone;
  std::function<void()> run;
};

void declare_weights(CLI::App& app, Command& command) {
  auto* import = app.add_subcommand("import-weights", "Check a weights file against a backbone, and keep what it uses");
  import->add_option("FILE", command.input, ".safetensors file in timm's names")->required();
  import->add_option("--backbone", command.backbone, "its name, such as pvt_v2_b2")->required();
  command.common.add_output(*import, ".safetensors file to write");
  import->get_option("--output")->required();
  import->footer("apps/convert/codmoe_convert.py makes safetensors of .pth and .pt files.");
  import->callback(
      [&] { command.run = [&] { apps::import_weights(command.input, command.backbone, command.common.output);
};
}  // namespace
);
auto* exported = app.add_subcommand("export-backbone", "Write a trained model's backbone in timm's names");
exported->add_option("CHECKPOINT", command.input, "run folder (its best checkpoint is taken) or step folder")
    ->required();
command.common.add_output(*exported, ".safetensors file to write");
exported->get_option("--output")->required();
exported->callback([&] { command.run = [&] { apps::export_backbone(command.input, command.common.output); }; });
}

void declare(CLI::App& app, Command& command) {
  app.require_subcommand(1);
  auto* synth = app.add_subcommand("synth", "Make a synthetic camouflage set: Imgs/ and GT/, reproducible by its seed");
  command.common.add_output(*synth, "dataset folder to write");
  synth->get_option("--output")->required();
  command.synth.fields(OptionMaker{*synth});
  synth->footer(
      "The last --held-out images are listed in val.txt, the others in train.txt. Coverage is the part of an\n"
      "image that its objects take; --fineness is how much finer their texture is than the background's.");
  synth->callback([&] { command.run = [&] { run_synth(command.common.output, command.synth); }; });
  auto* check = app.add_subcommand("check", "Look for faults; exit 1 where one would falsify a score");
  check->add_option("DIR", command.dirs, "dataset folders")->required();
  check->callback([&] { command.run = [&] { run_check(command.dirs); }; });
  auto* info = app.add_subcommand("info", "Describe a dataset, a checkpoint or a weights file");
  info->add_option("PATH", command.input, "dataset folder, run or step folder, or .safetensors file")->required();
  info->callback([&] { command.run = [&] { run_info(command.input); }; });
  declare_weights(app, command);
}

}  // namespace

int main(int argc, char** argv) {
  Command command;
  return codmoe::apps::run(
      "codmoe-data", "Makes, checks and describes datasets of camouflaged objects; brings weights in and out.", argc,
      argv, command.common, [&](CLI::App& app) { declare(app, command); }, [&] { command.run(); });
}
