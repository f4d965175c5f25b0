// codmoe-bench: measures parts of codmoe, each by its own subcommand.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <regex>

#include "benchmarks/compare.h"
#include "benchmarks/data.h"
#include "benchmarks/experts.h"
#include "benchmarks/layer.h"
#include "benchmarks/metrics.h"
#include "benchmarks/model.h"
#include "benchmarks/train.h"
#include "codmoe/core/device.h"
#include "common/cli.h"

namespace {

namespace fs = std::filesystem;
using namespace codmoe;

struct Arguments {
  apps::CommonOptions common;
  std::vector<std::string> batch, dtype, dispatch, pass, backbone, size;  ///< short forms of --set
  fs::path weights, pred, gt;                                             ///< the same
  fs::path json, compare, save_io, input, profile;
};

void add_list(CLI::App& app, const char* flag, std::vector<std::string>& target, const char* help) {
  app.add_option(flag, target, help)->delimiter(',')->allow_extra_args(false);
}

/// What every subcommand takes.
void declare_files(CLI::App& app, Arguments& args) {
  args.common.add_config(app);
  args.common.add_device(app);
  app.add_option("--json", args.json, "write the cases as JSON");
  app.add_option("--compare", args.compare, "JSON of an earlier run; exit 1 where a case became slower");
}

/// What those take that time a computation.
void declare_common(CLI::App& app, Arguments& args) {
  declare_files(app, args);
  add_list(app, "--batch", args.batch, "batch sizes: 1,4,8,16");
  add_list(app, "--dtype", args.dtype, "float32, tf32, bfloat16");
}

void declare(CLI::App& app, Arguments& args) {
  declare_common(app, args);
  add_list(app, "--pass", args.pass, "forward, train");
}

void declare_train(CLI::App& app, Arguments& args) {
  declare_common(app, args);
  app.add_option("--profile", args.profile, "write a Chrome trace of the last case, and print its longest kernels");
}

void declare_metrics(CLI::App& app, Arguments& args) {
  declare_files(app, args);
  app.add_option("--pred", args.pred, "folder of predictions, instead of synthetic pairs");
  app.add_option("--gt", args.gt, "folder of masks for --pred");
}

void declare_layer(CLI::App& app, Arguments& args) {
  declare(app, args);
  add_list(app, "--dispatch", args.dispatch, "strategies: sequential,batched,dense");
  app.add_option("--save-io", args.save_io, "write weights, input, output and routes as safetensors");
}

void declare_model(CLI::App& app, Arguments& args) {
  declare(app, args);
  add_list(app, "--backbone", args.backbone, "names: pvt_v2_b2,resnet50");
  add_list(app, "--size", args.size, "height x width of the images: 224x224,352x352");
  app.add_option("--weights", args.weights, "safetensors in timm's names, of one backbone");
  auto* save_io = app.add_option("--save-io", args.save_io,
                                 "write input, features, gradients (--pass train) and random weights as safetensors; "
                                 "timed only with --json or --compare");
  app.add_option("--input", args.input, "safetensors with the images for --save-io, [B, 3, H, W] under 'input'")
      ->needs(save_io);
}

/// "352x288" -> "[352, 288]"
std::string size_value(const std::string& text) {
  static const std::regex form("([0-9]+)x([0-9]+)");
  std::smatch match;
  if (!std::regex_match(text, match, form))
    throw core::UsageError(fmt::format("--size: '{}' must be HEIGHTxWIDTH, such as 352x352", text));
  return fmt::format("[{}, {}]", match[1].str(), match[2].str());
}

/// The short forms as overrides, after those of --set.
void append_overrides(Arguments& args) {
  const auto append = [&](const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) args.common.overrides.push_back(fmt::format("{}=[{}]", key, fmt::join(values, ", ")));
  };
  append("batch", args.batch);
  append("dtype", args.dtype);
  append("dispatch", args.dispatch);
  append("pass", args.pass);
  append("backbone", args.backbone);
  std::ranges::transform(args.size, args.size.begin(), size_value);
  append("size", args.size);
  const auto append_path = [&](const char* key, const fs::path& path) {
    if (path.empty()) return;
    args.common.overrides.push_back(fmt::format("{}={}", key, nlohmann::json(path.string()).dump()));  // a quoted text
  };
  append_path("weights", args.weights);
  append_path("pred", args.pred);
  append_path("gt", args.gt);
}

/// Prints the changes. @throws core::Error where a case became slower.
void report_changes(const fs::path& file, const std::vector<bench::Record>& before,
                    const std::vector<bench::Record>& after) {
  const auto changes = bench::compare(before, after);
  if (changes.empty()) throw core::Error(fmt::format("{}: has none of these cases on this device", file.string()));
  fmt::print("\nagainst {}:\n{}", file.string(), bench::format_changes(changes));
  const auto slower = std::ranges::count_if(changes, [](const auto& change) { return change.slower; });
  if (slower == 0) return;
  throw core::Error(fmt::format("{} of {} cases are slower than in {}", slower, changes.size(), file.string()));
}

/// Measures by `run`, prints by `format`, writes and compares what was asked for.
template <class Options>
void measure(const Arguments& args, const Options& options, const c10::Device& device,
             std::vector<bench::Record> (*run)(const Options&, const c10::Device&),
             std::string (*format)(const std::vector<bench::Record>&)) {
  std::vector<bench::Record> before;
  if (!args.compare.empty()) before = bench::read_records(args.compare);

  const auto records = run(options, device);
  fmt::print("{}", format(records));
  if (!args.json.empty()) bench::write_records(args.json, records);
  if (!args.compare.empty()) report_changes(args.compare, before, records);
}

/// Calls `use` with the options and the device, unless they were to be printed only.
template <class Options>
void with_options(Arguments& args, const std::function<void(const Options&, const c10::Device&)>& use) {
  append_overrides(args);
  Options options;
  if (apps::load_options(args.common, options)) use(options, core::parse_device(args.common.device));
}

void run_layer(Arguments& args) {
  with_options<bench::LayerOptions>(args, [&](const auto& options, const auto& device) {
    if (!args.save_io.empty()) bench::save_layer_io(args.save_io, options, device);
    measure(args, options, device, bench::run_layer, bench::format_table);
  });
}

void run_experts(Arguments& args) {
  with_options<bench::ExpertsOptions>(args, [&](const auto& options, const auto& device) {
    measure(args, options, device, bench::run_experts, bench::format_experts);
  });
}

void run_model(Arguments& args) {
  with_options<bench::ModelOptions>(args, [&](const auto& options, const auto& device) {
    if (!args.save_io.empty()) bench::save_model_io(args.save_io, args.input, options, device);
    if (!args.save_io.empty() && args.json.empty() && args.compare.empty()) return;
    measure(args, options, device, bench::run_model, bench::format_model);
  });
}

void run_data(Arguments& args) {
  with_options<bench::DataCaseOptions>(args, [&](const auto& options, const auto& device) {
    measure(args, options, device, bench::run_data, bench::format_data);
  });
}

/// On the CPU, unless another device is asked for, which is refused.
void run_metrics(Arguments& args) {
  if (args.common.device == "auto") args.common.device = "cpu";
  with_options<bench::MetricsCaseOptions>(args, [&](const auto& options, const auto& device) {
    measure(args, options, device, bench::run_metrics, bench::format_metrics);
  });
}

void run_train(Arguments& args) {
  with_options<bench::TrainCaseOptions>(args, [&](const auto& options, const auto& device) {
    if (!args.profile.empty() && !device.is_cuda()) throw core::UsageError("--profile needs a CUDA device");
    measure(args, options, device, bench::run_train, bench::format_train);
    if (!args.profile.empty()) fmt::print("\n{}", bench::profile_train(options, device, args.profile));
  });
}

/// What to do for a command line without a subcommand of ours.
[[noreturn]] void refuse(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* subcommand : app.get_subcommands([](const auto*) { return true; }))
    names.push_back(subcommand->get_name());
  const auto words = app.remaining();
  if (words.empty()) throw core::UsageError(fmt::format("name what to measure: {}", fmt::join(names, ", ")));
  if (!app.get_subcommands().empty()) throw core::UsageError(fmt::format("'{}' is unknown; see --help", words.front()));
  throw core::UsageError(fmt::format("'{}' is unknown; allowed are {}", words.front(), fmt::join(names, ", ")));
}

}  // namespace

int main(int argc, char** argv) {
  Arguments args;
  CLI::App* program = nullptr;
  CLI::App* layer = nullptr;
  CLI::App* experts = nullptr;
  CLI::App* model = nullptr;
  CLI::App* train = nullptr;
  CLI::App* data = nullptr;
  CLI::App* metrics = nullptr;
  return apps::run(
      "codmoe-bench", "Measures parts of codmoe.", argc, argv, args.common,
      [&](CLI::App& app) {
        program = &app;
        layer = app.add_subcommand("layer", "the sparse layer alone, every dispatch")->fallthrough();
        declare_layer(*layer, args);
        experts = app.add_subcommand("experts", "each expert beside its old form")->fallthrough();
        declare(*experts, args);
        model = app.add_subcommand("model", "a backbone alone: forward and training step")->fallthrough();
        declare_model(*model, args);
        train = app.add_subcommand("train", "the whole training step of a detector")->fallthrough();
        declare_train(*train, args);
        data = app.add_subcommand("data", "how fast samples are decoded, augmented and delivered")->fallthrough();
        declare_files(*data, args);
        metrics = app.add_subcommand("metrics", "how fast predictions are scored")->fallthrough();
        declare_metrics(*metrics, args);
        app.require_subcommand(0, 1)->allow_extras();  // refuse() knows what there is
      },
      [&] {
        if (!program->remaining().empty() || program->get_subcommands().empty()) refuse(*program);
        if (layer->parsed()) run_layer(args);
        if (experts->parsed()) run_experts(args);
        if (model->parsed()) run_model(args);
        if (train->parsed()) run_train(args);
        if (data->parsed()) run_data(args);
        if (metrics->parsed()) run_metrics(args);
      });
}
