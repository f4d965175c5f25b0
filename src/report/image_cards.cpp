#include "image_cards.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <span>

#include "codmoe/data/image_file.h"
#include "picture.h"
#include "text.h"

namespace codmoe::report {
namespace {

// Images of each kind shown: best, median and worst.
constexpr std::size_t shown = 4;

// As in the style sheet's .missed, .false and .found. Told apart by people who see no red or no green, too.
constexpr std::array<uint8_t, 3> missed{0xdd, 0x3b, 0x26};
constexpr std::array<uint8_t, 3> false_alarm{0x36, 0x8b, 0xf0};
constexpr std::array<uint8_t, 3> found{0xe8, 0xe8, 0xe8};
constexpr std::array<uint8_t, 3> background{0x1d, 0x20, 0x1e};

constexpr const char* error_legend =
    "<p class=\"quiet keys\">Errors, of value &gt; 0.5:<span><i class=\"found\"></i> found</span> <span><i "
    "class=\"missed\"></i> missed</span> <span><i class=\"false\"></i> false alarm</span></p>\n";

at::Tensor colour(const std::array<uint8_t, 3>& rgb) {
  return at::tensor(at::ArrayRef<uint8_t>(rgb.data(), rgb.size()), at::kByte);
}

template <class Embed>
void append_picture(std::string& html, const Embed& embed, const at::Tensor& image, const char* what,
                    const ImageResult& result) {
  append(html, "<figure>{}<figcaption>{}</figcaption></figure>\n",
         embed(image, fmt::format("{} of {}", what, result.item.name)), what);
}

void append_card(std::string& html, const ImageResult& result) {
  append(html,
         "<div class=\"card\"><p><strong>{}</strong> IoU {:.3f}, S {:.3f}, MAE {:.3f}</p><div class=\"pictures\">\n",
         escape_markup(result.item.name), result.at("IoU"), result.at("Smeasure"), result.at("MAE"));
  if (!result.item.image.empty()) {
    append_picture(html, embedded_photograph, shrink(data::read_image(result.item), report_thumbnail),
                   "photograph", result);
  }
  const at::Tensor& pred = result.thumbnail_hw;
  at::Tensor mask = data::read_mask(result.item);
  mask = pred.defined() ? data::resize(mask, pred.size(0), pred.size(1), data::Interpolation::area)
                        : shrink(mask, report_thumbnail);
  append_picture(html, embedded_picture, mask, "mask", result);
  if (pred.defined()) {
    append_picture(html, embedded_picture, pred, "prediction", result);
    append_picture(html, embedded_picture, error_map(mask, pred, result.decision_level), "errors", result);
  }
  html += "</div></div>\n";
}

using Images = std::span<const ImageResult* const>;

void append_cards(std::string& html, const char* heading, Images images) {
  append(html, "<h3>{}</h3>\n<div class=\"cards\">\n", heading);
  for (const ImageResult* image : images) append_card(html, *image);
  html += "</div>\n";
}

}  // namespace

at::Tensor error_map(const at::Tensor& mask_hw, const at::Tensor& pred_hw, double level) {
  const at::Tensor object = mask_hw.gt(128).unsqueeze(2);
  const at::Tensor decided = pred_hw.gt(level).unsqueeze(2);
  return at::where(object, at::where(decided, colour(found), colour(missed)),
                   at::where(decided, colour(false_alarm), colour(background)));
}

std::string image_cards_html(const DatasetResult& dataset) {
  std::vector<const ImageResult*> by_iou;
  for (const ImageResult& image : dataset.images()) by_iou.push_back(&image);
  std::ranges::stable_sort(by_iou, std::ranges::greater(), [](const ImageResult* image) { return image->at("IoU"); });
  const Images all(by_iou);
  const auto has_prediction = [](const ImageResult* image) { return image->thumbnail_hw.defined(); };
  std::string html = std::ranges::any_of(all, has_prediction) ? error_legend : "";
  if (all.size() <= 3 * shown) {
    append_cards(html, "All images, best first", all);
    return html;
  }
  append_cards(html, "Best", all.first(shown));
  append_cards(html, "Around the median", all.subspan((all.size() - shown) / 2, shown));
  append_cards(html, "Worst", all.last(shown));
  return html;
}

}  // namespace codmoe::report
