#include "prediction_message.h"

#include <ATen/ATen.h>

#include "codmoe/core/options_json.h"

namespace codmoe::engine {

using core::Json;

namespace {

Json uses_json(const std::vector<report::ExpertUse>& uses) {
  auto list = Json::array();
  for (const auto& use : uses) list.push_back({use.share, use.weight});
  return list;
}

Json::binary_t bytes_of(const at::Tensor& map_hw) {
  const auto whole = map_hw.contiguous();
  const auto* begin = whole.const_data_ptr<uint8_t>();
  return Json::binary_t(std::vector<uint8_t>(begin, begin + whole.numel()));
}

at::Tensor map_of(const Json& entry) {
  auto map_hw = at::empty({entry.at("height").get<int64_t>(), entry.at("width").get<int64_t>()}, at::kByte);
  std::ranges::copy(entry.at("map").get_binary(), map_hw.mutable_data_ptr<uint8_t>());
  return map_hw;
}

}  // namespace

std::string write_predictions(const std::vector<FilePrediction>& predictions) {
  auto list = Json::array();
  for (const auto& one : predictions) {
    list.push_back({{"file", one.file},
                    {"height", one.map_hw.size(0)},
                    {"width", one.map_hw.size(1)},
                    {"map", Json::binary(bytes_of(one.map_hw))},
                    {"use", uses_json(one.expert_use)}});
  }
  const auto bytes = Json::to_cbor(list);
  return {bytes.begin(), bytes.end()};
}

std::vector<FilePrediction> read_predictions(const std::string& message) {
  std::vector<FilePrediction> predictions;
  const auto list = Json::from_cbor(message);
  for (const auto& entry : list) {
    auto& one = predictions.emplace_back();
    one.file = entry.at("file");
    one.map_hw = map_of(entry);
    for (const auto& use : entry.at("use")) one.expert_use.push_back({.share = use.at(0), .weight = use.at(1)});
  }
  return predictions;
}

}  // namespace codmoe::engine
