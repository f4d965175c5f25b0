#include "codmoe/data/sample_cache.h"

#include <atomic>
#include <opencv2/core.hpp>

#include "codmoe/core/parallel.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/loader.h"

namespace codmoe::data {

namespace {

int64_t reduced_side(int64_t side, int64_t size) { return side / std::max<int64_t>(1, side / size); }

at::Tensor reduce(const at::Tensor& image, int64_t size) {
  const auto height = reduced_side(image.size(0), size), width = reduced_side(image.size(1), size);
  if (height == image.size(0) && width == image.size(1)) return image.contiguous();
  return resize(image, height, width, Interpolation::area);
}

struct OverBudget {};

}  // namespace

std::shared_ptr<const SampleCache> SampleCache::read(const Dataset& dataset, int64_t size, int64_t budget,
                                                     int64_t threads) {
  auto cache = std::make_shared<SampleCache>();
  cache->samples_.resize(static_cast<std::size_t>(dataset.size()));
  std::atomic<int64_t> bytes = 0;
  core::ProgressLine line("decoding", dataset.size(), "images");
  cv::setNumThreads(1);  // the images are the parallelism
  const auto read_one = [&](int64_t index) {
    const auto sample = read_sample(dataset.item(index));
    auto& kept = cache->samples_[static_cast<std::size_t>(index)];
    kept = {reduce(sample.image, size), reduce(sample.mask, size)};
    if ((bytes += kept.image.numel() + kept.mask.numel()) > budget) throw OverBudget();
  };
  try {
    core::parallel_for(dataset.size(), threads, read_one, [&](int64_t done) { line.update(done); });
  } catch (const OverBudget&) {
    return nullptr;
  }
  cache->bytes_ = bytes;
  return cache;
}

}  // namespace codmoe::data
