#include "prediction_images.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "codmoe/data/image_file.h"

namespace codmoe::engine {

namespace {

constexpr int64_t kHeight = 160;  // pixels: an event file holds every epoch's

at::Tensor rgb(const at::Tensor& grey_hw) { return grey_hw.unsqueeze(2).expand({-1, -1, 3}).contiguous(); }

}  // namespace

PredictionImages::PredictionImages(std::shared_ptr<const data::Dataset> dataset, int64_t count)
    : dataset_(std::move(dataset)), count_(std::min(count, dataset_->size())) {}

PredictionImages::Shown PredictionImages::read(const data::Item& item, const Predictor& predictor) const {
  const auto photograph = data::read_image(item);
  const auto width = std::max<int64_t>(1, photograph.size(1) * kHeight / photograph.size(0));
  const auto small = [&](const at::Tensor& image) {
    return data::resize(image, kHeight, width, data::Interpolation::area);
  };
  Shown shown{.tag = "predictions/" + item.name,
              .sample = at::cat({small(photograph), rgb(small(data::read_mask(item)))}, 1),
              .input = predictor.prepare(photograph)};
  shown.input.height = kHeight;
  shown.input.width = width;
  return shown;
}

std::vector<tfevents::Image> PredictionImages::make(Predictor& predictor) {
  for (auto i = std::ssize(shown_); i < count_; ++i) {
    shown_.push_back(read(dataset_->item(i * dataset_->size() / count_), predictor));
  }
  if (shown_.empty()) return {};
  std::vector<PredictorInput> inputs;
  for (const auto& shown : shown_) inputs.push_back(shown.input);
  const auto maps = predictor.predict(inputs).maps();
  std::vector<tfevents::Image> pictures;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const auto all = at::cat({shown_[i].sample, rgb(maps[i])}, 1);
    pictures.push_back(
        {.tag = shown_[i].tag, .height = all.size(0), .width = all.size(1), .png = data::encode_png(all)});
  }
  return pictures;
}

}  // namespace codmoe::engine
