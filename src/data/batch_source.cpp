#include "codmoe/data/batch_source.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/data/loader.h"
#include "order.h"
#include "resident.h"
#include "stream.h"

namespace codmoe::data {

namespace {

constexpr double mebibyte = 1 << 20;

/// Bytes that samples may take; the rest is for the model and its activations. Samples for a GPU are decoded in main
/// memory.
int64_t budget_of(Cache cache, bool asked_for, c10::Device device) {
  const auto main = core::free_memory(c10::kCPU) / (asked_for ? 1 : 2);
  return cache == Cache::ram ? main : std::min(main, core::free_memory(device) / (asked_for ? 1 : 3));
}

/// Where to try to keep samples, the best first.
std::vector<Cache> places_for(Cache cache, c10::Device device) {
  if (cache == Cache::none) return {};
  if (cache != Cache::automatic) return {cache};
  return device.is_cuda() ? std::vector{Cache::gpu, Cache::ram} : std::vector{Cache::ram};
}

std::string place_of(Cache cache, c10::Device device) { return cache == Cache::gpu ? device.str() : "main memory"; }

/// Reads the samples into the best place that has room, and returns it; says which where it was to be chosen.
Cache keep_samples(Samples& samples, Cache cache, int64_t threads, c10::Device device) {
  int64_t tried = 0;
  for (const auto place : places_for(cache, device)) {
    const auto budget = budget_of(place, cache == place, device);
    if (budget > tried) samples.keep(budget, threads);
    tried = std::max(tried, budget);
    if (!samples.are_kept()) continue;
    spdlog::info("data.cache: {}, {} samples kept in {:.0f} MiB of {}", core::name_of(place), samples.size(),
                 static_cast<double>(samples.bytes()) / mebibyte, place_of(place, device));
    return place;
  }
  if (cache == Cache::automatic) spdlog::info("data.cache: none, files are read in every epoch");
  if (cache == Cache::automatic || cache == Cache::none) return Cache::none;
  throw core::Error(
      fmt::format("{}: decoded, the set takes more than the {:.0f} MiB that are free for data.cache: {}; "
                  "none reads files in every epoch",
                  samples.dataset().dir().string(), static_cast<double>(tried) / mebibyte, core::name_of(cache)));
}

}  // namespace

std::unique_ptr<BatchSource> make_batch_source(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options,
                                               const AugmentOptions& augment, Cache cache, uint64_t seed,
                                               c10::Device device, OnError on_error) {
  if (cache == Cache::gpu && !device.is_cuda()) {
    throw core::UsageError(fmt::format("data.cache: gpu needs a CUDA device, the run is on {}", device.str()));
  }
  batch_count(*dataset, options);  // before anything is decoded
  const auto samples = std::make_shared<Samples>(dataset, options.largest_side(), on_error);
  const auto place = keep_samples(*samples, cache, options.threads, device);
  if (place == Cache::gpu) return std::make_unique<ResidentLoader>(dataset, *samples, options, augment, seed, device);
  if (device.is_cuda()) return std::make_unique<StreamLoader>(samples, options, augment, seed, device);
  return std::make_unique<Loader>(samples, options, augment, seed);
}

}  // namespace codmoe::data
