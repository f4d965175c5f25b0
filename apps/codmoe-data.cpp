// codmoe-data: makes, checks and describes datasets; brings weights in and out.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/augmented_sheet.h"
#include "codmoe/data/contact_sheet.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/doctor.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/pack.h"
#include "codmoe/data/synth.h"
#include "codmoe/engine/options.h"
#include "codmoe/report/doctor.h"
#include "common/cli.h"
#include "data/pack.h"
#include "data/weights.h"

namespace fs = std::filesystem;

namespace {

using namespace codmoe;

/// Makes one command-line option of each field: `held_out` becomes --held-out.
struct OptionMaker {
  CLI::App& app;

  static std::string flag_of(const std::string& key) {
    std::string flag = "--" + key;
    std::replace(flag.begin(), flag.end(), '_', '-');
    return flag;
  }

  void operator()(const std::string& key, fs::path& field) const { app.add_option(flag_of(key), field, "folder"); }

  /// NAME or NAME=WEIGHT, separated by commas.
  void operator()(const std::string& key, std::map<std::string, double>& field, const core::Range& range) const {
    const auto read = [&field, range, key](const std::vector<std::string>& entries) {
      field.clear();
      for (const std::string& entry : entries) {
        const std::size_t sign = entry.find('=');
        double weight = 1;
        const bool good = sign == std::string::npos || CLI::detail::lexical_cast(entry.substr(sign + 1), weight);
        if (!good || !range.contains(weight)) {
          throw core::UsageError(fmt::format("{}: a weight must be {}; it is '{}'", flag_of(key), range.text(), entry));
        }
        field[entry.substr(0, sign)] += weight;
      }
    };
    app.add_option_function<std::vector<std::string>>(flag_of(key), read, "NAME or NAME=WEIGHT, by commas")
        ->delimiter(',')
        ->default_str(fmt::format("{}", fmt::join(names_of(field), ",")));
  }
  static std::vector<std::string> names_of(const std::map<std::string, double>& weights) {
    std::vector<std::string> names;
    for (const auto& [name, weight] : weights) names.push_back(name);
    return names;
  }

  template <class T>
  void operator()(const std::string& key, T& field, const core::Range& range = {}) const {
    app.add_option(flag_of(key), field, range.text())->capture_default_str()->check([range](const std::string& text) {
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

/// A progress line that begins with the first item.
data::DoctorProgress progress_of(std::optional<core::ProgressLine>& line, const char* title, const char* unit) {
  return [&line, title, unit](int64_t done, int64_t total) {
    if (!line) line.emplace(title, total, unit);
    line->update(done);
  };
}

data::Examination examine(const fs::path& dir) {
  std::optional<core::ProgressLine> line;
  return data::examine(dir, progress_of(line, "reading", "pairs"));
}

/// Where findings go besides the terminal.
struct CheckOutput {
  fs::path json, report;
};

std::vector<data::Examination> examine_all(const std::vector<fs::path>& dirs) {
  std::vector<data::Examination> sets;
  for (const fs::path& dir : dirs) sets.push_back(examine(dir));
  std::optional<core::ProgressLine> line;
  data::find_copies(sets, progress_of(line, "comparing", "images"));
  return sets;
}

void run_check(const std::vector<fs::path>& dirs, const CheckOutput& output) {
  const std::vector<data::Examination> sets = examine_all(dirs);
  fmt::print("{}", report::format_examinations(sets));
  if (!output.json.empty()) core::write_file_atomically(output.json, report::to_json(sets).dump(2) + "\n");
  if (!output.report.empty()) {
    report::write_examination_page(output.report, sets);
    fmt::print("report: {}\n", (output.report / "index.html").string());
  }
  std::vector<std::string> falsified;
  for (const data::Examination& set : sets) {
    if (set.falsifies_scores()) falsified.push_back(set.dir.string());
  }
  if (!falsified.empty()) {
    throw core::Error(fmt::format("scores over {} would be wrong: see the faults above", fmt::join(falsified, ", ")));
  }
}

/// A picture of a dataset's samples; `augmented`: as a training run with the options of `common` sees them.
struct Grid {
  fs::path file;
  bool augmented = false;

  void check(const apps::CommonOptions& common) const {
    if (augmented && file.empty()) throw core::UsageError("--augmented: name the picture with --grid FILE.png");
    if (!augmented && (!common.config.empty() || !common.overrides.empty() || common.print_config)) {
      throw core::UsageError("--config, --set and --print-config: only with --augmented");
    }
  }
};

void write_grid(const fs::path& dir, const Grid& grid, const apps::CommonOptions& common) {
  const data::Dataset dataset({dir, {}});
  if (!grid.augmented) return data::write_png(grid.file, data::contact_sheet(dataset));
  engine::TrainOptions train;
  if (!apps::load_options(common, train)) return;
  data::write_png(grid.file,
                  data::augmented_sheet(dataset, train.data.augment,
                                        {.size = train.data.loader.size, .seed = static_cast<uint64_t>(train.seed)}));
}

void run_info(const fs::path& path, const Grid& grid, const apps::CommonOptions& common) {
  grid.check(common);
  if (!fs::is_directory(path) && !data::is_pack(path)) {
    apps::describe_weights(path);
  } else if (apps::is_checkpoint(path)) {
    apps::describe_checkpoint(path);
  } else if (!grid.file.empty()) {
    write_grid(path, grid, common);
  } else if (data::is_pack(path)) {
    apps::describe_pack(path);
  } else {
    fmt::print("{}", report::format_examinations(std::vector{examine(path)}));
  }
}

/// What the command line asks for.
struct Command {
  apps::CommonOptions common;
  data::SynthOptions synth;
  std::vector<fs::path> dirs;
  CheckOutput check;
  data::DatasetOptions packed;
  int64_t packed_size = 0;
  Grid grid;
  fs::path input;
  std::string backbone;
  std::function<void()> run;
};

void declare_weights(CLI::App& app, Command& command) {
  auto* imported =
      app.add_subcommand("import-weights", "Check a weights file against a backbone, and keep what it uses");
  imported->add_option("FILE", command.input, ".safetensors file in timm's names")->required();
  imported->add_option("--backbone", command.backbone, "its name, such as pvt_v2_b2")->required();
  command.common.add_output(*imported, ".safetensors file to write");
  imported->get_option("--output")->required();
  imported->footer(
      "apps/convert/codmoe_convert.py makes safetensors of .pth and "
      ".pt files.");
  imported->callback(
      [&] { command.run = [&] { apps::import_weights(command.input, command.backbone, command.common.output); }; });
  auto* exported = app.add_subcommand("export-backbone", "Write a trained model's backbone in timm's names");
  exported->add_option("CHECKPOINT", command.input, "run folder (its best checkpoint is taken) or step folder")
      ->required();
  command.common.add_output(*exported, ".safetensors file to write");
  exported->get_option("--output")->required();
  exported->callback([&] { command.run = [&] { apps::export_backbone(command.input, command.common.output); }; });
}

void declare_pack(CLI::App& app, Command& command) {
  auto* pack =
      app.add_subcommand("pack", "Write a dataset's decoded samples into one file, which stands for the folder");
  pack->add_option("DIR", command.packed.dir, "dataset folder")->required();
  pack->add_option("--list", command.packed.list, "text file with the names to pack, one a line");
  pack->add_option("--size", command.packed_size,
                   "side of the batches: what is at least twice as large is reduced; 0: nothing is")
      ->check(CLI::Range(0, 8192))
      ->capture_default_str();
  command.common.add_output(*pack, ".safetensors file to write");
  pack->get_option("--output")->required();
  pack->callback(
      [&] { command.run = [&] { apps::pack(command.packed, command.packed_size, command.common.output); }; });
}

void declare(CLI::App& app, Command& command) {
  app.require_subcommand(1);
  auto* synth = app.add_subcommand("synth",
                                   "Make a synthetic camouflage set: Imgs/ and "
                                   "GT/, reproducible by its seed");
  command.common.add_output(*synth, "dataset folder to write");
  synth->get_option("--output")->required();
  command.synth.fields(OptionMaker{*synth});
  synth->footer(
      "The last --held-out images are listed in val.txt, the others "
      "in train.txt. Coverage is the part of an\n"
      "image that its objects take; --fineness is how much finer "
      "their texture is than the background's.\n"
      "--kinds mixes texture, background-matching, disruptive, "
      "blurred-edge, many and tiny by weight.\n"
      "With --cutouts (images with alpha) and --backgrounds, objects "
      "are pasted instead, and --match is how far they\n"
      "take their surroundings' colours and texture.");
  synth->callback([&] { command.run = [&] { run_synth(command.common.output, command.synth); }; });
  auto* check = app.add_subcommand("check", "Look for faults; exit 1 where one would falsify a score");
  check->add_option("DIR", command.dirs, "dataset folders; copies are looked for between them too")->required();
  check->add_option("--json", command.check.json, "write all findings and statistics to this file");
  check->add_option("--report", command.check.report, "write a page with thumbnails into this folder");
  check->callback([&] { command.run = [&] { run_check(command.dirs, command.check); }; });
  auto* info = app.add_subcommand("info", "Describe a dataset, a packed set, a checkpoint or a weights file");
  info->add_option("PATH", command.input, "dataset folder or packed set, run or step folder, or .safetensors file")
      ->required();
  info->add_option("--grid", command.grid.file,
                   "of a dataset: write a picture of samples with their masks "
                   "to this PNG file");
  info->add_flag("--augmented", command.grid.augmented,
                 "the picture shows samples as training changes them, masks outlined: a row "
                 "a sample, first as it is, then in epochs 0, 1, ...");
  command.common.add_config(*info);
  info->callback([&] { command.run = [&] { run_info(command.input, command.grid, command.common); }; });
  declare_pack(app, command);
  declare_weights(app, command);
}

}  // namespace

int main(int argc, char** argv) {
  Command command;
  return codmoe::apps::run(
      "codmoe-data",
      "Makes, checks and describes datasets of camouflaged objects; brings "
      "weights in and out.",
      argc, argv, command.common, [&](CLI::App& app) { declare(app, command); }, [&] { command.run(); });
}
