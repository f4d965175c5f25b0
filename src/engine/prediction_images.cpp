#include "prediction_images.h"

#include <ATen/ATen.h>

#include "codmoe/data/image_file.h"

namespace codmoe::engine {

namespace {

constexpr int64_t kHeight = 160;  // pixels: an event file holds every epoch's

at::Tensor rgb(const at::Tensor& grey_hw) { return grey_hw.unsqueeze(2).expand({-1, -1, 3}); }

tfevents::Image picture(const data::Item& item, const at::Tensor& photograph, const at::Tensor& map_hw) {
  const auto width = std::max<int64_t>(1, photograph.size(1) * kHeight / photograph.size(0));
  std::vector<at::Tensor> parts;
  for (const auto& part : {photograph, rgb(data::read_mask(item)), rgb(map_hw)}) {
    parts.push_back(data::resize(part, kHeight, width, data::Interpolation::area));
  }
  const auto all = at::cat(parts, 1);
  return {.tag = "predictions/" + item.name, .height = all.size(0), .width = all.size(1), .png = data::encode_png(all)};
}

}  // namespace

std::vector<tfevents::Image> prediction_images(Predictor& predictor, const data::Dataset& dataset, int64_t count) {
  std::vector<tfevents::Image> pictures;
  count = std::min(count, dataset.size());
  for (int64_t i = 0; i < count; ++i) {
    const auto& item = dataset.item(i * dataset.size() / count);
    const auto photograph = data::read_image(item);
    pictures.push_back(picture(item, photograph, predictor.predict({predictor.prepare(photograph)}).maps().front()));
  }
  return pictures;
}

}  // namespace codmoe::engine
