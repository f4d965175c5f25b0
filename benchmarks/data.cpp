#include "benchmarks/data.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <opencv2/imgcodecs.hpp>

#include "benchmarks/case.h"
#include "benchmarks/passes.h"
#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/core/parallel.h"
#include "codmoe/core/seed.h"
#include "codmoe/data/loader.h"
#include "codmoe/data/packed_batches.h"

namespace codmoe::bench {

namespace {

using DatasetPtr = std::shared_ptr<const data::Dataset>;

void decode_plainly(const data::Item& item) {
  if (cv::imread(item.image.string(), cv::IMREAD_COLOR).empty() ||
      cv::imread(item.mask.string(), cv::IMREAD_GRAYSCALE).empty()) {
    throw core::Error(fmt::format("{} or its mask is no image", item.image.string()));
  }
}

SetPass over_items(const DataCaseOptions& options, const DatasetPtr& dataset, std::function<void(int64_t index)> body) {
  return [dataset, threads = data::worker_count(options.loader), body = std::move(body)] {
    core::parallel_for(dataset->size(), threads, body);
  };
}

SetPass over_batches(const DataCaseOptions& options, const DatasetPtr& dataset, data::Cache cache,
                     const c10::Device& device) {
  const std::shared_ptr<data::BatchSource> source = data::make_batch_source(
      dataset, options.loader, options.augment, cache, static_cast<uint64_t>(options.seed), device);
  return [source, device, epoch = std::make_shared<int64_t>(0)] {
    source->start((*epoch)++);
    while (const auto batch = source->next()) {
      batch->images.to(device, /*non_blocking=*/true);
      batch->masks.to(device, /*non_blocking=*/true);
    }
    core::synchronize(device);
  };
}

SetPass over_packed_batches(const DataCaseOptions& options, const DatasetPtr& dataset, const c10::Device& device) {
  const auto packed = std::make_shared<data::PackedBatches>(
      std::make_shared<data::Samples>(dataset, options.loader.largest_side()), options.loader, options.augment,
      static_cast<uint64_t>(options.seed), /*pinned=*/device.is_cuda());
  return [packed, epoch = std::make_shared<int64_t>(0)] {
    packed->start((*epoch)++, 0);
    for (int64_t batch = 0; batch < packed->batches_per_epoch(); ++batch) {
      packed->wait(batch);
      packed->release();
    }
  };
}

SetPass make_pass(const DataCaseOptions& options, DataStage stage, const DatasetPtr& dataset,
                  const c10::Device& device) {
  const auto seed = static_cast<uint64_t>(options.seed);
  switch (stage) {
    case DataStage::opencv:
      return over_items(options, dataset, [dataset](int64_t i) { decode_plainly(dataset->item(i)); });
    case DataStage::read:
      return over_items(options, dataset, [dataset](int64_t i) { data::read_sample(dataset->item(i)); });
    case DataStage::augment:
      return over_items(options, dataset, [dataset, seed, options](int64_t i) {
        const auto drawn = data::draw_augmentation(options.augment, core::mix_seed(seed, static_cast<uint64_t>(i)));
        const auto donor = data::donor_of(drawn, i, dataset->size());
        const auto lent = donor ? std::optional(data::read_sample(dataset->item(*donor))) : std::nullopt;
        data::apply_augmentation(data::read_sample(dataset->item(i)), options.loader.size, drawn,
                                 lent ? &*lent : nullptr);
      });
    case DataStage::pack:
      return over_packed_batches(options, dataset, device);
    case DataStage::deliver:
      return over_batches(options, dataset, data::Cache::none, device);
    case DataStage::ram:
      return over_batches(options, dataset, data::Cache::ram, device);
    case DataStage::gpu:
      return over_batches(options, dataset, data::Cache::gpu, device);
  }
  TORCH_CHECK(false, "unknown stage");
}

Record describe_stage(const DataCaseOptions& options, DataStage stage, const c10::Device& device) {
  return {.case_name = "data",
          .device = core::device_name(device),
          .form = std::string(core::name_of(stage)),
          .threads = data::worker_count(options.loader),
          .batch = options.loader.batch_size,
          .height = options.loader.size,
          .width = options.loader.size,
          .seed = options.seed};
}

}  // namespace

void DataCaseOptions::check() const {
  if (data.dir.empty()) throw core::BadOption("data.dir", "must name a folder with Imgs/ and GT/; it is empty");
  require_values("stage", stage);
}

std::vector<Record> run_data(const DataCaseOptions& options, const c10::Device& device) {
  const auto dataset = std::make_shared<const data::Dataset>(options.data);
  std::vector<Record> records;
  for (const auto stage : options.stage) {
    if (stage == DataStage::gpu && !device.is_cuda()) continue;
    spdlog::info("data {}", core::name_of(stage));
    auto record = describe_stage(options, stage, device);
    add_passes(record, time_passes(make_pass(options, stage, dataset, device), options.seconds), dataset->size());
    records.push_back(std::move(record));
  }
  if (records.empty()) throw core::UsageError("stage: gpu needs a CUDA device");
  return records;
}

std::string format_data(const std::vector<Record>& records) {
  constexpr const char* columns = "{:>8} {:>11} {:>11} {:>9} {:>9}\n";
  const auto& first = records.front();
  auto text = fmt::format("data: {} pixels, batch {}, {} threads on {}; seed {}\n", first.height, first.batch,
                          first.threads.value_or(0), first.device, first.seed);
  text += fmt::format(columns, "stage", "images/s", "a thread", "ms/batch", "/opencv");
  const auto floor = std::ranges::find(records, std::optional<std::string>("opencv"), &Record::form);
  for (const auto& record : records) {
    const auto ratio = floor == records.end() ? "-" : fmt::format("{:.2f}", record.images_per_s / floor->images_per_s);
    text += fmt::format(columns, record.form.value_or(""), fmt::format("{:.0f}", record.images_per_s),
                        fmt::format("{:.0f}", record.images_per_s / static_cast<double>(record.threads.value_or(1))),
                        fmt::format("{:.2f}", record.median_ms), ratio);
  }
  return text;
}

}  // namespace codmoe::bench
