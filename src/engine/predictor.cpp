#include "codmoe/engine/predictor.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <future>

#include "codmoe/data/image_file.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/precision.h"
#include "codmoe/nn/weights.h"
#include "codmoe/ops/resize.h"

namespace codmoe::engine {

namespace fs = std::filesystem;

Predictor::Predictor(model::Detector model, c10::Device device, int64_t size, const EngineOptions& engine)
    : model_(std::move(model)), device_(device), size_(size), engine_(engine), layers_(expert_layers(*model_)) {}

std::vector<at::Tensor> Predictor::predict(const std::vector<at::Tensor>& images) {
  const at::NoGradGuard no_grad;
  model_->eval();
  std::vector<at::Tensor> inputs;
  for (const auto& image : images) {
    inputs.push_back(data::resize(image, size_, size_, data::Interpolation::area).permute({2, 0, 1}));
  }
  const auto format = engine_.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  const auto batch = model::to_unit_range(at::stack(inputs).to(device_)).contiguous(format);
  model::DetectorOutput output;
  {
    const AutocastScope autocast(device_.type(), engine_.precision);
    output = model_->forward(batch);
  }
  routings_ = std::move(output.routings);
  const auto finest_b1hw = output.logits.front().to(at::kFloat);
  std::vector<at::Tensor> maps;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto logits = finest_b1hw.narrow(0, static_cast<int64_t>(i), 1);
    const auto full = ops::resize_bilinear(logits, images[i].size(0), images[i].size(1));
    maps.push_back((full.sigmoid() * 255).round().to(at::kByte).squeeze(0).squeeze(0).cpu());
  }
  return maps;
}

std::vector<std::vector<report::ExpertUse>> Predictor::expert_use() const {
  if (routings_.empty()) return {};
  std::vector<at::Tensor> choices_be;  // share, weight, share, weight… of layer after layer
  for (const auto& routing : routings_) {
    const auto choices = moe::image_choices(routing);
    choices_be.insert(choices_be.end(), {choices.share_be, choices.weight_be});
  }
  const auto host = at::stack(choices_be, 1).to(at::kCPU, at::kDouble).contiguous();  // [B, 2 * layers, E]
  const auto experts = host.size(2);
  const auto* next = host.const_data_ptr<double>();
  const auto take = [&] {
    next += experts;
    return std::vector<double>(next - experts, next);
  };
  std::vector<std::vector<report::ExpertUse>> images(static_cast<std::size_t>(host.size(0)));
  for (auto& image : images) {
    for (std::size_t layer = 0; layer < routings_.size(); ++layer) {
      auto share = take();
      image.push_back({.share = std::move(share), .weight = take()});
    }
  }
  return images;
}

Predictor load_predictor(const fs::path& step_folder, c10::Device device) {
  TrainOptions options;
  core::read_options(read_state(step_folder).config, {{"", {(step_folder / "state.json").string(), {}}}}, options);
  options.model.backbone.weights.clear();  // the checkpoint holds them
  model::Detector model(options.model);
  const auto file = step_folder / "model.safetensors";
  nn::load_state(*model, core::load_safetensors(file).tensors, {.source = file.string()});
  model->to(device);
  if (options.engine.channels_last) to_channels_last(*model);
  set_precision(options.engine.precision);
  return {model, device, options.data.loader.size, options.engine};
}

namespace {

using Decoded = std::vector<std::future<at::Tensor>>;

/// `Source` is what data::read_image reads: a file or a dataset's item.
template <class Source>
Decoded decode(const std::vector<Source>& sources, std::size_t first, std::size_t count) {
  Decoded batch;
  for (std::size_t i = first; i < std::min(first + count, sources.size()); ++i) {
    batch.push_back(std::async(std::launch::async, [&source = sources[i]] { return data::read_image(source); }));
  }
  return batch;
}

template <class Source>
void predict_all(Predictor& predictor, const std::vector<Source>& files, int64_t batch_size,
                 const std::function<void(std::size_t, std::vector<at::Tensor>)>& use) {
  const auto step = static_cast<std::size_t>(batch_size);
  auto ahead = decode(files, 0, step);
  for (std::size_t first = 0; first < files.size(); first += step) {
    std::vector<at::Tensor> images;
    for (auto& image : ahead) images.push_back(image.get());
    ahead = decode(files, first + step, step);
    use(first, predictor.predict(images));
  }
}

}  // namespace

void predict_files(Predictor& predictor, const std::vector<fs::path>& files, int64_t batch_size,
                   const std::function<void(std::size_t, std::vector<at::Tensor>)>& use) {
  predict_all(predictor, files, batch_size, use);
}

void evaluate_dataset(Predictor& predictor, const std::string& name, const data::Dataset& dataset, int64_t batch_size,
                      report::Evaluation& evaluation, const std::function<void(int64_t)>& progress) {
  evaluation.set_layers(predictor.layers());
  dataset.require_size(0);  // scores are of whole masks
  std::vector<std::future<report::ImageResult>> scoring;
  const auto collect = [&] {
    for (auto& result : scoring) evaluation.add(name, result.get());
    scoring.clear();
  };
  predict_all(predictor, dataset.items(), batch_size, [&](std::size_t first, std::vector<at::Tensor> maps) {
    collect();  // of the batch before: it was scored while this one was predicted
    auto uses = predictor.expert_use();
    uses.resize(maps.size());  // without MoE layers there are none
    for (std::size_t i = 0; i < maps.size(); ++i) {
      scoring.push_back(std::async(std::launch::async, [&item = dataset.items()[first + i], map = maps[i],
                                                        use = std::move(uses[i]), &evaluation]() mutable {
        auto result = report::score_item(item, map, evaluation.options());
        result.expert_use = std::move(use);
        return result;
      }));
    }
    if (progress) progress(static_cast<int64_t>(first + maps.size()));
  });
  collect();
}

}  // namespace codmoe::engine
