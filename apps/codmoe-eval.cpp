// codmoe-eval: scores of checkpoints and of folders of predictions on datasets.
#include <fmt/format.h>

#include "codmoe/core/files.h"
#include "codmoe/core/progress.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/predictor.h"
#include "codmoe/report/folders.h"
#include "codmoe/report/formats.h"
#include "codmoe/report/paired.h"
#include "codmoe/report/report_folder.h"
#include "common/session.h"
#include "eval/options.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

std::string progress_title(const std::string& run, const std::string& dataset) { return run + " on " + dataset; }

report::Evaluation evaluate_checkpoint(const std::string& name, const fs::path& path, const apps::EvalOptions& options,
                                       const apps::Session& session) {
  auto predictor =
      engine::load_predictor(engine::find_checkpoint(path, /*prefer_best=*/true), session.device(), options.test_time);
  report::Evaluation evaluation(name, options.evaluation);
  for (const auto& [data_name, data_options] : options.data) {
    const data::Dataset dataset(data_options);
    core::ProgressLine line(progress_title(name, data_name), dataset.size(), "images");
    engine::evaluate_dataset(
        predictor, data_name, dataset, options.batch_size, evaluation, [&](int64_t done) { line.update(done); },
        session.ranks());
  }
  return evaluation;
}

void evaluate_maps(const fs::path& folder, const std::vector<data::Item>& items, const std::string& dataset,
                   report::Evaluation& evaluation) {
  const auto pairs = report::pair_files(folder, items);
  core::ProgressLine line(progress_title(evaluation.run(), dataset), static_cast<int64_t>(pairs.size()), "images");
  report::evaluate_files(pairs, dataset, evaluation, [&](int64_t done) { line.update(done); });
}

report::Evaluation evaluate_predictions(const std::string& name, const fs::path& folder,
                                        const apps::EvalOptions& options) {
  report::Evaluation evaluation(name, options.evaluation);
  if (!options.gt.empty()) {
    evaluate_maps(folder, report::mask_items(options.gt), report::dataset_name(options.gt), evaluation);
  }
  for (const auto& [data_name, data_options] : options.data) {
    evaluate_maps(apps::predictions_of(folder, data_name, options.data.size() == 1),
                  data::Dataset(data_options).items(), data_name, evaluation);
  }
  return evaluation;
}

void evaluate_and_report(const apps::EvalOptions& options, const apps::Session& session) {
  std::vector<report::Evaluation> runs;
  for (const auto& [name, path] : options.checkpoints) {
    runs.push_back(evaluate_checkpoint(name, path, options, session));
  }
  if (!session.ranks().leads()) return;
  for (const auto& [name, folder] : options.pred) runs.push_back(evaluate_predictions(name, folder, options));
  fmt::print("{}", report::format_table(runs));
  if (!options.json.empty()) report::write_json(options.json, runs);
  if (!options.csv.empty()) report::write_csv(options.csv, runs);
  if (!options.routing.empty()) report::write_routing_csv(options.routing, runs);
  if (!options.report.empty()) {
    report::write_report(options.report, runs);
    fmt::print("report: {}\n", (options.report / "index.html").string());
  }
  if (options.against.empty()) return;
  fmt::print("{}", report::format_differences(options.against, report::compare_with(options.against, runs)));
}

void run(const apps::EvalArguments& args) {
  apps::EvalOptions options;
  if (!apps::load_options(args.common, options)) return;
  apps::override_with(args, options);
  if (!options.report.empty()) options.evaluation.thumbnail = report::report_thumbnail;
  // What can't be read or written is said now, not after the evaluation.
  if (!options.against.empty()) core::read_file(options.against);
  if (!options.report.empty()) core::make_folder(options.report);
  apps::Session session(args.common, "");
  session.run([&] { evaluate_and_report(options, session); });
}

}  // namespace

int main(int argc, char** argv) {
  apps::EvalArguments args;
  return apps::run(
      "codmoe-eval", "Scores checkpoints and folders of predictions on datasets.", argc, argv, args.common,
      [&](CLI::App& app) { args.declare(app); }, [&] { run(args); });
}
