#include "benchmarks/metrics.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

#include "benchmarks/case.h"
#include "benchmarks/passes.h"
#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/core/parallel.h"
#include "codmoe/core/seed.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/synth.h"
#include "codmoe/metrics/weighted_f_measure.h"
#include "codmoe/report/folders.h"

namespace codmoe::bench {

namespace {

struct GreyPair {
  at::Tensor pred_hw;
  at::Tensor mask_hw;
};

/// What the stages work on.
struct MetricsInput {
  std::vector<report::PairedFiles> files;  ///< empty where synthetic
  std::vector<GreyPair> images;
  std::vector<metrics::ImagePair> pairs;
};

int64_t thread_count(const MetricsCaseOptions& options) {
  return options.threads > 0 ? options.threads : std::max<int64_t>(1, std::thread::hardware_concurrency());
}

/// A detector's map of 1/16 of the resolution, made larger, with noise: soft edges, and every grey level.
at::Tensor soft_map(const at::Tensor& mask_hw, uint64_t seed) {
  constexpr int64_t stride = 16;
  constexpr uint64_t noise = 40;
  const auto side = mask_hw.size(0);
  const auto coarse = data::resize(mask_hw, side / stride, side / stride, data::Interpolation::area);
  auto map = data::resize(coarse, side, side, data::Interpolation::bilinear);
  auto* level = map.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < map.numel(); ++i) {
    const auto drawn = static_cast<int>(core::mix_seed(seed, static_cast<uint64_t>(i)) % noise);
    level[i] = static_cast<uint8_t>(std::clamp(level[i] + drawn - static_cast<int>(noise / 2), 0, 255));
  }
  return map;
}

GreyPair synthetic_pair(const MetricsCaseOptions& options, int64_t index) {
  const auto mask = data::make_synth_sample({.size = options.size, .seed = options.seed}, index).mask;
  return {soft_map(mask, core::mix_seed(static_cast<uint64_t>(options.seed), static_cast<uint64_t>(index))), mask};
}

GreyPair read_pair(const report::PairedFiles& files) {
  GreyPair pair{data::read_mask(files.prediction), data::read_mask(files.item)};
  if (pair.pred_hw.sizes() != pair.mask_hw.sizes()) {
    pair.pred_hw =
        data::resize(pair.pred_hw, pair.mask_hw.size(0), pair.mask_hw.size(1), data::Interpolation::bilinear);
  }
  return pair;
}

MetricsInput make_input(const MetricsCaseOptions& options) {
  MetricsInput input;
  if (!options.pred.empty()) input.files = report::pair_files(options.pred, report::mask_items(options.gt));
  const auto count = input.files.empty() ? options.count : static_cast<int64_t>(input.files.size());
  input.images.resize(static_cast<std::size_t>(count));
  input.pairs.resize(input.images.size());
  core::parallel_for(count, options.threads, [&](int64_t index) {
    const auto i = static_cast<std::size_t>(index);
    input.images[i] = input.files.empty() ? synthetic_pair(options, index) : read_pair(input.files[i]);
    input.pairs[i] = metrics::make_image_pair(input.images[i].pred_hw, input.images[i].mask_hw);
  });
  return input;
}

void score_all(const MetricsInput& input, int64_t threads) {
  std::vector<metrics::ImageScores> scores(input.images.size());
  core::parallel_for(std::ssize(scores), threads, [&](int64_t index) {
    const auto& [pred, mask] = input.images[static_cast<std::size_t>(index)];
    scores[static_cast<std::size_t>(index)] = metrics::score_image(pred, mask);
  });
  metrics::ScoreAccumulator accumulator;
  for (const auto& image : scores) accumulator.add(image);
  accumulator.summary();
}

SetPass make_metrics_pass(const MetricsInput& input, MetricsStage stage, int64_t threads) {
  const auto over_pairs = [&input, threads](auto body) {
    return [&input, threads, body] {
      core::parallel_for(std::ssize(input.pairs), threads, [&](int64_t i) { body(static_cast<std::size_t>(i)); });
    };
  };
  switch (stage) {
    case MetricsStage::decode:
      return over_pairs([&input](std::size_t i) { read_pair(input.files[i]); });
    case MetricsStage::histograms:
      return over_pairs(
          [&input](std::size_t i) { metrics::make_image_pair(input.images[i].pred_hw, input.images[i].mask_hw); });
    case MetricsStage::weighted_f:
      return over_pairs([&input](std::size_t i) { metrics::weighted_f_measure(input.pairs[i]); });
    case MetricsStage::score:
      return [&input, threads] { score_all(input, threads); };
    case MetricsStage::files:
      return [&input, threads] {
        report::EvaluationOptions options;
        options.threads = threads;
        report::Evaluation evaluation("run", options);
        report::evaluate_files(input.files, "dataset", evaluation);
      };
  }
  TORCH_CHECK(false, "unknown stage");
}

/// The side of synthetic pairs; of files 0, since they differ.
Record describe_metrics(const MetricsCaseOptions& options, MetricsStage stage, const c10::Device& device) {
  const int64_t side = options.pred.empty() ? options.size : 0;
  return {.case_name = "metrics",
          .device = core::device_name(device),
          .form = std::string(core::name_of(stage)),
          .threads = thread_count(options),
          .batch = 1,
          .height = side,
          .width = side,
          .seed = options.seed};
}

}  // namespace

void MetricsCaseOptions::check() const {
  if (pred.empty() != gt.empty())
    throw core::BadOption(pred.empty() ? "pred" : "gt", "is missing: pred and gt go together");
  require_values("stage", stage);
}

std::vector<Record> run_metrics(const MetricsCaseOptions& options, const c10::Device& device) {
  if (!device.is_cpu()) throw core::UsageError("--device: the metrics of files are computed on the CPU alone");
  const auto input = make_input(options);
  std::vector<Record> records;
  for (const auto stage : options.stage) {
    const bool reads = stage == MetricsStage::decode || stage == MetricsStage::files;
    if (reads && input.files.empty()) continue;
    spdlog::info("metrics {}", core::name_of(stage));
    auto record = describe_metrics(options, stage, device);
    const auto pass = make_metrics_pass(input, stage, thread_count(options));
    add_passes(record, time_passes(pass, options.seconds), std::ssize(input.images));
    records.push_back(std::move(record));
  }
  if (records.empty()) throw core::UsageError("stage: decode and files need the folders pred and gt");
  return records;
}

std::string format_metrics(const std::vector<Record>& records) {
  constexpr const char* columns = "{:>11} {:>11} {:>16}\n";
  const auto& first = records.front();
  const auto threads = static_cast<double>(first.threads.value_or(1));
  auto text =
      fmt::format("metrics: {}, {} threads\n",
                  first.height > 0 ? fmt::format("synthetic pairs of {} pixels, seed {}", first.height, first.seed)
                                   : "pairs of files",
                  threads);
  text += fmt::format(columns, "stage", "images/s", "ms a core, image");
  for (const auto& record : records) {
    text += fmt::format(columns, record.form.value_or(""), fmt::format("{:.0f}", record.images_per_s),
                        fmt::format("{:.3f}", record.median_ms * threads));
  }
  return text;
}

}  // namespace codmoe::bench
