// codmoe-eval: scores of checkpoints on datasets, or of a folder of predictions.
#include <fmt/format.h>

#include <map>

#include "codmoe/core/device.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/pack.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/report/folders.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/html.h"
#include "codmoe/report/paired.h"
#include "common/cli.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

struct EvalOptions {
  std::map<std::string, fs::path> checkpoints;       ///< run or step folders by the name of their row
  std::map<std::string, data::DatasetOptions> data;  ///< datasets by name
  fs::path pred, gt;                                 ///< instead of a model: folders of predictions and masks
  int64_t batch_size = 16;
  report::EvaluationOptions evaluation;
  fs::path json, csv, routing, report;
  fs::path against;  ///< CSV of another run on the same images

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("checkpoints", checkpoints);
    visit("data", data);
    visit("pred", pred);
    visit("gt", gt);
    visit("batch_size", batch_size, core::at_least(1));
    visit("evaluation", evaluation);
    visit("json", json);
    visit("csv", csv);
    visit("routing", routing);
    visit("report", report);
    visit("against", against);
  }
  void check() const {
    if (pred.empty() != gt.empty())
      throw core::BadOption(pred.empty() ? "pred" : "gt", "is missing: pred and gt go together");
    if (!pred.empty() && !checkpoints.empty()) throw core::BadOption("pred", "cannot stand beside checkpoints");
    if (!pred.empty() && !routing.empty()) throw core::BadOption("routing", "needs a checkpoint: pred has no experts");
  }
};

struct Arguments {
  apps::CommonOptions common;
  std::vector<std::string> checkpoints, data;
  fs::path pred, gt, json, csv, routing, report, against;
  bool strict = false;
};

/// NAME=DIR, NAME=FILE of a packed set, or NAME=FILE with a list of names that lies in the dataset's folder.
std::pair<std::string, data::DatasetOptions> parse_data(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw core::UsageError(fmt::format("--data {}: must be NAME=DIR, or NAME=DIR/LIST.txt", text));
  }
  const fs::path path = text.substr(equals + 1);
  if (fs::is_regular_file(path) && !data::is_pack(path))
    return {text.substr(0, equals), {.dir = path.parent_path(), .list = path}};
  return {text.substr(0, equals), {.dir = path, .list = {}}};
}

/// NAME=PATH, or PATH, which then is its own name.
std::pair<std::string, fs::path> parse_checkpoint(const std::string& text) {
  const auto equals = fs::exists(text) ? std::string::npos : text.find('=');
  if (equals != std::string::npos) return {text.substr(0, equals), text.substr(equals + 1)};
  const auto path = fs::path(text).lexically_normal();
  return {(path.has_filename() ? path.filename() : path.parent_path().filename()).string(), path};
}

void override_with(const Arguments& args, EvalOptions& options) {
  for (const auto& text : args.checkpoints) {
    if (!options.checkpoints.insert(parse_checkpoint(text)).second) {
      throw core::UsageError(fmt::format("--checkpoint {}: another has this name; write NAME={}", text, text));
    }
  }
  for (const auto& text : args.data) options.data.insert(parse_data(text));
  const auto take = [](const fs::path& given, fs::path& target) {
    if (!given.empty()) target = given;
  };
  take(args.pred, options.pred);
  take(args.gt, options.gt);
  take(args.json, options.json);
  take(args.csv, options.csv);
  take(args.routing, options.routing);
  take(args.report, options.report);
  take(args.against, options.against);
  options.evaluation.strict = options.evaluation.strict || args.strict;
  try {
    options.check();
  } catch (const core::BadOption& bad) {
    throw core::UsageError(fmt::format("--{} {}", bad.key(), bad.what()));
  }
}

report::Evaluation evaluate_checkpoint(const std::string& name, const fs::path& path, const EvalOptions& options,
                                       c10::Device device) {
  auto predictor = engine::load_predictor(engine::find_checkpoint(path, /*prefer_best=*/true), device);
  report::Evaluation evaluation(name, options.evaluation);
  for (const auto& [data_name, data_options] : options.data) {
    const data::Dataset dataset(data_options);
    core::ProgressLine line(name + " on " + data_name, dataset.size(), "images");
    engine::evaluate_dataset(predictor, data_name, dataset, options.batch_size, evaluation,
                             [&](int64_t done) { line.update(done); });
  }
  return evaluation;
}

std::vector<report::Evaluation> evaluate(const Arguments& args, const EvalOptions& options) {
  if (!options.pred.empty()) return {report::evaluate_folders(options.pred, options.gt, options.evaluation)};
  if (options.checkpoints.empty() || options.data.empty()) {
    throw core::UsageError("name --checkpoint PATH and --data NAME=DIR, or --pred DIR and --gt DIR");
  }
  const auto device = core::parse_device(args.common.device);
  std::vector<report::Evaluation> runs;
  for (const auto& [name, path] : options.checkpoints) runs.push_back(evaluate_checkpoint(name, path, options, device));
  return runs;
}

void run(const Arguments& args) {
  EvalOptions options;
  if (!apps::load_options(args.common, options)) return;
  override_with(args, options);
  if (!options.report.empty()) options.evaluation.thumbnail = report::report_thumbnail;
  const auto runs = evaluate(args, options);
  fmt::print("{}", report::format_table(runs));
  if (!options.against.empty()) {
    fmt::print("{}", report::format_differences(options.against, report::compare_with(options.against, runs)));
  }
  if (!options.json.empty()) report::write_json(options.json, runs);
  if (!options.csv.empty()) report::write_csv(options.csv, runs);
  if (!options.routing.empty()) report::write_routing_csv(options.routing, runs);
  if (!options.report.empty()) {
    report::write_html(options.report, runs);
    report::write_csv(options.report / "images.csv", runs);
    fmt::print("report: {}\n", (options.report / "index.html").string());
  }
}

}  // namespace

int main(int argc, char** argv) {
  Arguments args;
  return apps::run(
      "codmoe-eval", "Scores checkpoints on datasets, or a folder of predictions.", argc, argv, args.common,
      [&](CLI::App& app) {
        args.common.add_config(app);
        args.common.add_device(app);
        const auto repeatable = [&](const char* flag, std::vector<std::string>& target, const char* help) {
          app.add_option(flag, target, help)->allow_extra_args(false);
        };
        repeatable("--checkpoint", args.checkpoints, "run or step folder, or NAME=FOLDER (repeatable)");
        repeatable("--data", args.data, "NAME=DIR, or NAME=DIR/LIST.txt (repeatable)");
        app.add_option("--pred", args.pred, "folder of predictions, instead of a checkpoint");
        app.add_option("--gt", args.gt, "folder of masks for --pred");
        app.add_flag("--strict", args.strict, "refuse predictions of another size than their mask's");
        app.add_option("--against", args.against,
                       "test each score against that of another run, whose --csv this is, image by image");
        app.add_option("--json", args.json, "write the scores as JSON");
        app.add_option("--csv", args.csv, "write one line an image");
        app.add_option("--routing", args.routing,
                       "write which experts each image used as CSV: one line an image, layer and expert, by falling "
                       "weight (rank); share: 1, or with spatial routing the part of the positions that chose the "
                       "expert; weight: its mean weight in the mixture");
        app.add_option("--report", args.report, "write index.html and images.csv into this folder");
      },
      [&] { run(args); });
}
