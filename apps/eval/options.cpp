#include "eval/options.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "codmoe/data/pack.h"

namespace codmoe::apps {
namespace {

namespace fs = std::filesystem;

using Named = std::pair<std::string, fs::path>;

/// NAME=PATH. Nothing where there is no NAME=.
std::optional<Named> split_name(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) return std::nullopt;
  return Named{text.substr(0, equals), text.substr(equals + 1)};
}

/// NAME=DIR, NAME=FILE of a packed set, or NAME=FILE with a list of names that lies in the dataset's folder.
std::pair<std::string, data::DatasetOptions> parse_data(const std::string& text) {
  const auto named = split_name(text);
  if (!named) throw core::UsageError(fmt::format("--data {}: must be NAME=DIR, NAME=PACK, or NAME=DIR/LIST.txt", text));
  const auto& [name, path] = *named;
  if (fs::is_regular_file(path) && !data::is_pack(path)) return {name, {.dir = path.parent_path(), .list = path}};
  return {name, {.dir = path, .list = {}}};
}

/// NAME=PATH, or PATH, which then gives its own name.
Named parse_run(const std::string& text) {
  if (const auto named = split_name(text); named && !fs::exists(text)) return *named;
  const auto path = fs::absolute(text).lexically_normal();
  return {(path.has_filename() ? path : path.parent_path()).filename().string(), text};
}

template <class T, class Parse>
void take_named(const char* flag, const std::vector<std::string>& texts, std::map<std::string, T>& target,
                const Parse& parse) {
  std::map<std::string, T> given;
  for (const std::string& text : texts) {
    if (given.insert(parse(text)).second) continue;
    throw core::UsageError(fmt::format("{} {}: another has this name; give each its own NAME=", flag, text));
  }
  for (auto& [name, value] : given) target[name] = std::move(value);
}

}  // namespace

void EvalOptions::check() const {
  if (!gt.empty() && pred.empty()) throw core::BadOption("gt", "needs pred");
  if (!gt.empty() && !data.empty()) throw core::BadOption("gt", "cannot stand beside data, which has masks of its own");
  if (!gt.empty() && !checkpoints.empty()) throw core::BadOption("gt", "cannot stand beside checkpoints: name data");
  if (!pred.empty() && gt.empty() && data.empty()) throw core::BadOption("pred", "needs gt or data");
  for (const auto& [name, folder] : pred) {
    if (checkpoints.contains(name)) throw core::BadOption("pred", fmt::format("{}: a checkpoint has this name", name));
  }
  if (!routing.empty() && checkpoints.empty() && !pred.empty()) {
    throw core::BadOption("routing", "needs a checkpoint: pred has no experts");
  }
  test_time.check();
  if (test_time != engine::TestTimeOptions{} && checkpoints.empty() && !pred.empty()) {
    const bool mirrors = test_time.tta != engine::TestTimeViews::none;
    throw core::BadOption(mirrors ? "tta" : "scales", "needs a checkpoint: the maps of pred are there already");
  }
}

void EvalArguments::declare(CLI::App& app) {
  common.add_config(app);
  common.add_device(app);
  common.add_gpus(app);
  const auto repeatable = [&](const char* flag, std::vector<std::string>& target, const char* help) {
    app.add_option(flag, target, help)->allow_extra_args(false);
  };
  repeatable("--checkpoint", checkpoints, "run or step folder, or NAME=FOLDER (repeatable)");
  repeatable("--pred", pred,
             "folder of predictions instead of a checkpoint, or NAME=FOLDER (repeatable); with several --data it has a "
             "subfolder for each, of its name");
  repeatable("--data", data, "NAME=DIR, NAME=PACK of codmoe-data pack, or NAME=DIR/LIST.txt (repeatable)");
  app.add_option("--gt", gt, "folder of masks for --pred, instead of --data");
  test_time.declare(app);
  app.add_flag("--strict", strict, "refuse predictions of another size than their mask's");
  app.add_option("--against", against,
                 "test each score against that of another run, whose --csv this is, image by image");
  app.add_option("--json", json, "write the scores as JSON");
  app.add_option("--csv", csv, "write one line an image");
  app.add_option("--routing", routing,
                 "write which experts each image used as CSV: one line an image, layer and expert, by falling "
                 "weight (rank); share: 1, or with spatial routing the part of the positions that chose the "
                 "expert; weight: its mean weight in the mixture");
  app.add_option("--report", report,
                 "write into this folder a page to look at, index.html, and its numbers: scores.json, images.csv, "
                 "curves.csv, table.md, table.tex, routing.csv");
}

void override_with(const EvalArguments& args, EvalOptions& options) {
  take_named("--checkpoint", args.checkpoints, options.checkpoints, parse_run);
  take_named("--pred", args.pred, options.pred, parse_run);
  take_named("--data", args.data, options.data, parse_data);
  const auto take = [](const fs::path& given, fs::path& target) {
    if (!given.empty()) target = given;
  };
  take(args.gt, options.gt);
  take(args.json, options.json);
  take(args.csv, options.csv);
  take(args.routing, options.routing);
  take(args.report, options.report);
  take(args.against, options.against);
  args.test_time.override_options(options.test_time);
  options.evaluation.strict = options.evaluation.strict || args.strict;
  try {
    options.check();
  } catch (const core::BadOption& bad) {
    throw core::UsageError(fmt::format("--{} {}", bad.key(), bad.what()));
  }
  const bool has_data = !options.data.empty() || !options.gt.empty();
  if ((options.checkpoints.empty() && options.pred.empty()) || !has_data) {
    throw core::UsageError("name --checkpoint PATH or --pred DIR, and --data NAME=DIR; or --pred DIR and --gt DIR");
  }
}

fs::path predictions_of(const fs::path& folder, const std::string& dataset, bool is_only_dataset) {
  const fs::path of_dataset = folder / dataset;
  return is_only_dataset && !fs::is_directory(of_dataset) ? folder : of_dataset;
}

}  // namespace codmoe::apps
