#include "codmoe/data/batch_source.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/device.h"
#include "codmoe/core/error.h"
#include "codmoe/data/loader.h"
#include "order.h"
#include "resident.h"

namespace codmoe::data {

namespace {

constexpr double mebibyte = 1 << 20;

/// What samples may take of a device's free memory, in bytes; the rest is for the model and its activations.
int64_t budget_of(Cache cache, bool asked_for, c10::Device device) {
  const bool on_gpu = cache == Cache::gpu;
  const auto free = core::free_memory(on_gpu ? device : c10::Device(c10::kCPU));
  if (asked_for) return free;
  return on_gpu ? free / 3 : free / 2;
}

std::string place_of(Cache cache, c10::Device device) { return cache == Cache::gpu ? device.str() : "main memory"; }

}  // namespace

std::unique_ptr<BatchSource> make_batch_source(std::shared_ptr<const Dataset> dataset, const LoaderOptions& options,
                                               const AugmentOptions& augment, Cache cache, uint64_t seed,
                                               c10::Device device) {
  if (cache == Cache::gpu && !device.is_cuda()) {
    throw core::UsageError(fmt::format("data.cache: gpu needs a CUDA device, the run is on {}", device.str()));
  }
  batch_count(*dataset, options);  // before anything is decoded
  std::vector<Cache> wanted{cache};
  if (cache == Cache::none) wanted.clear();
  if (cache == Cache::automatic) wanted = {Cache::ram};
  if (cache == Cache::automatic && device.is_cuda()) wanted = {Cache::gpu, Cache::ram};
  std::shared_ptr<const SampleCache> samples;
  for (const auto place : wanted) {
    const auto budget = budget_of(place, cache == place, device);
    samples = SampleCache::read(*dataset, options.size, budget, options.threads);
    if (samples) {
      spdlog::info("data.cache: {}, {} samples kept in {:.0f} MiB of {}", core::name_of(place), samples->size(),
                   static_cast<double>(samples->bytes()) / mebibyte, place_of(place, device));
      if (place == Cache::gpu) {
        return std::make_unique<ResidentLoader>(dataset, *samples, options, augment, seed, device);
      }
      break;
    }
    if (cache == place) {
      throw core::Error(
          fmt::format("{}: decoded, the set takes more than the {:.0f} MiB that are free in {}; data.cache "
                      "may be none",
                      dataset->dir().string(), static_cast<double>(budget) / mebibyte, place_of(place, device)));
    }
  }
  if (!samples && cache == Cache::automatic) spdlog::info("data.cache: none, files are read in every epoch");
  return std::make_unique<Loader>(dataset, options, augment, seed, device.is_cuda(), samples);
}

}  // namespace codmoe::data
