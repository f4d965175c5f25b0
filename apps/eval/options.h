// What codmoe-eval is asked for, in a YAML file and on the command line.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "codmoe/core/options.h"
#include "codmoe/data/dataset.h"
#include "codmoe/engine/test_time.h"
#include "codmoe/report/evaluation.h"
#include "common/cli.h"
#include "common/test_time.h"

namespace codmoe::apps {

struct EvalOptions {
  std::map<std::string, std::filesystem::path> checkpoints;  ///< run or step folders by the name of their row
  std::map<std::string, std::filesystem::path> pred;         ///< folders of predictions by the name of their row
  std::map<std::string, data::DatasetOptions> data;          ///< datasets by name
  std::filesystem::path gt;                                  ///< instead of `data`: a folder of masks, for `pred` alone
  int64_t batch_size = 16;
  engine::TestTimeOptions test_time;  ///< of the checkpoints; its fields stand at the top level
  report::EvaluationOptions evaluation;
  std::filesystem::path json, csv, routing, report;
  std::filesystem::path against;  ///< CSV of another run on the same images

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("checkpoints", checkpoints);
    visit("pred", pred);
    visit("data", data);
    visit("gt", gt);
    visit("batch_size", batch_size, core::at_least(1));
    test_time.fields(visit);
    visit("evaluation", evaluation);
    visit("json", json);
    visit("csv", csv);
    visit("routing", routing);
    visit("report", report);
    visit("against", against);
  }
  void check() const;
};

struct EvalArguments {
  CommonOptions common;
  std::vector<std::string> checkpoints, pred, data;
  std::filesystem::path gt, json, csv, routing, report, against;
  TestTimeArguments test_time;
  bool strict = false;

  void declare(CLI::App& app);
};

/// The file's options with those of the command line, which go first. @throws core::UsageError
void override_with(const EvalArguments& args, EvalOptions& options);

/// Where the maps of a dataset lie in a folder of predictions: in its subfolder of that name or, of the only dataset,
/// in the folder itself where there is no such subfolder.
std::filesystem::path predictions_of(const std::filesystem::path& folder, const std::string& dataset,
                                     bool is_only_dataset);

}  // namespace codmoe::apps
