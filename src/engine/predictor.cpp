#include "codmoe/engine/predictor.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "codmoe/data/image_file.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/narrow_weights.h"
#include "codmoe/engine/precision.h"
#include "codmoe/metrics/batch_scores.h"
#include "codmoe/nn/weights.h"
#include "codmoe/ops/resize.h"

namespace codmoe::engine {

namespace fs = std::filesystem;

std::vector<at::Tensor> PredictedBatch::maps() const {
  if (copied_) copied_->synchronize();
  return maps_;
}

std::vector<std::vector<report::ExpertUse>> PredictedBatch::expert_use() const {
  if (!choices_.defined()) return {};
  if (copied_) copied_->synchronize();
  const auto experts = choices_.size(2);
  const auto* next = choices_.const_data_ptr<double>();
  const auto take = [&] {
    next += experts;
    return std::vector<double>(next - experts, next);
  };
  std::vector<std::vector<report::ExpertUse>> images(static_cast<std::size_t>(choices_.size(0)));
  for (auto& image : images) {
    for (int64_t layer = 0; layer < choices_.size(1) / 2; ++layer) {
      auto share = take();
      image.push_back({.share = std::move(share), .weight = take()});
    }
  }
  return images;
}

namespace {

/// float64 [B, 2 * layers, E]: share, weight, share, weight… of layer after layer.
at::Tensor choices_of(const std::vector<moe::Routing>& routings) {
  std::vector<at::Tensor> choices_be;
  for (const auto& routing : routings) {
    const auto choices = moe::image_choices(routing);
    choices_be.insert(choices_be.end(), {choices.share_be, choices.weight_be});
  }
  return at::stack(choices_be, 1).to(at::kDouble).contiguous();
}

/// On the CPU, where on CUDA it only is once the stream is that far.
at::Tensor queue_copy(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  const auto host = at::empty(tensor.sizes(), tensor.options().device(at::kCPU).pinned_memory(tensor.is_cuda()));
  return host.copy_(tensor, /*non_blocking=*/true);
}

at::Tensor to_bytes(const at::Tensor& probabilities) { return (probabilities * 255).round().to(at::kByte); }

/// uint8 [H, W] each of probabilities [1, 1, H, W], in one copy.
std::vector<at::Tensor> queue_maps(const std::vector<at::Tensor>& probabilities) {
  std::vector<at::Tensor> flat;
  for (const auto& p : probabilities) flat.push_back(to_bytes(p).flatten());
  const auto bytes = queue_copy(at::cat(flat));
  std::vector<at::Tensor> maps;
  int64_t first = 0;
  for (const auto& p : probabilities) {
    maps.push_back(bytes.narrow(0, first, p.numel()).view({p.size(2), p.size(3)}));
    first += p.numel();
  }
  return maps;
}

}  // namespace

Predictor::Predictor(model::Detector model, c10::Device device, int64_t size, const EngineOptions& engine,
                     const TestTimeOptions& test_time, std::shared_ptr<core::GraphPool> graph_pool)
    : model_(std::move(model)),
      device_(device),
      engine_(engine),
      test_time_(test_time),
      layers_(expert_layers(*model_)),
      narrow_weights_(std::make_shared<NarrowWeights>(*model_, device, engine.precision)),
      replayer_(
          {.name = "validation batches", .refusal = [model = model_]() mutable { return forward_refusal(*model); }},
          engine, device, graph_pool ? std::move(graph_pool) : std::make_shared<core::GraphPool>(device)) {
  for (const double scale : test_time.scales) sizes_.push_back(scaled_size(size, scale));
}

PredictorInput Predictor::prepare(const at::Tensor& image) const {
  PredictorInput input{.height = image.size(0), .width = image.size(1), .resized = {}};
  for (const auto size : sizes_) input.resized.push_back(data::resize(image, size, size, data::Interpolation::area));
  return input;
}

/// float [B, 3, S, S] in [0, 1], on the device. Of rows of colours the channels-last batch is a view.
at::Tensor Predictor::upload(const std::vector<PredictorInput>& images, std::size_t scale) const {
  const auto size = sizes_[scale];
  const auto memory = at::TensorOptions(at::kByte).pinned_memory(device_.is_cuda());
  const auto batch_bssc = at::empty({std::ssize(images), size, size, 3}, memory);
  auto* row = batch_bssc.mutable_data_ptr<uint8_t>();
  for (const auto& image : images) {
    const auto& pixels = image.resized[scale];
    row = std::copy_n(pixels.const_data_ptr<uint8_t>(), pixels.numel(), row);
  }
  return to_input(batch_bssc.to(device_, /*non_blocking=*/true).permute({0, 3, 1, 2}));
}

at::Tensor Predictor::to_input(const at::Tensor& images_b3ss) const {
  const auto format = engine_.channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  return model::to_unit_range(images_b3ss).contiguous(format);
}

/// [B, 1, h, w]; `routings` are set where they are still empty.
at::Tensor Predictor::finest_logits(const at::Tensor& batch_b3ss, std::vector<moe::Routing>& routings) {
  const AutocastScope autocast(device_.type(), engine_.precision);
  const NarrowWeights::Scope narrow(*narrow_weights_);
  auto output = model_->forward(batch_b3ss);
  if (routings.empty()) routings = std::move(output.routings);
  return output.logits.front().to(at::kFloat);
}

PredictedBatch Predictor::predict(const std::vector<PredictorInput>& images) {
  const at::NoGradGuard no_grad;
  model_->eval();
  std::vector<moe::Routing> routings;
  std::vector<at::Tensor> sums(images.size());  // of probabilities, [1, 1, H, W]
  const auto add_view = [&](const at::Tensor& logits_b1hw) {
    for (std::size_t i = 0; i < images.size(); ++i) {
      const auto logits = logits_b1hw.narrow(0, static_cast<int64_t>(i), 1);
      const auto p = ops::resize_bilinear(logits, images[i].height, images[i].width).sigmoid();
      sums[i] = sums[i].defined() ? sums[i] + p : p;
    }
  };
  const bool mirrored = test_time_.tta == TestTimeViews::flip;
  for (std::size_t scale = 0; scale < sizes_.size(); ++scale) {
    const auto input = upload(images, scale);
    add_view(finest_logits(input, routings));
    if (mirrored) add_view(finest_logits(input.flip(3), routings).flip(3));
  }
  const auto views = sizes_.size() * (mirrored ? 2 : 1);
  for (auto& sum : sums) sum = sum / static_cast<double>(views);
  PredictedBatch batch;
  batch.maps_ = queue_maps(sums);
  if (!routings.empty()) batch.choices_ = queue_copy(choices_of(routings));
  if (device_.is_cpu()) return batch;
  batch.copied_.emplace(device_.type());
  batch.copied_->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return batch;
}

at::Tensor Predictor::scores_of(const at::Tensor& images_b3ss, const at::Tensor& masks_bss) {
  std::vector<moe::Routing> routings;
  const auto maps_b1ss = to_bytes(finest_logits(to_input(images_b3ss), routings).sigmoid());
  return metrics::BatchScores::sums(maps_b1ss.squeeze(1), masks_bss);
}

at::Tensor Predictor::score_resized(const at::Tensor& images_b3ss, const at::Tensor& masks_bss) {
  const at::NoGradGuard no_grad;
  model_->eval();
  if (!replayer_.wanted()) return scores_of(images_b3ss, masks_bss);
  const core::SideStream stream(device_);
  const WithoutWaiting scope(*model_, true);
  auto& plan = score_plans_[images_b3ss.sizes().vec()];
  if (!plan.images.defined()) plan = {at::empty_like(images_b3ss), at::empty_like(masks_bss), {}, {}};
  plan.images.copy_(images_b3ss);
  plan.masks.copy_(masks_bss);
  // Autocast's copies of weights are made within, from the weights as they are when it is replayed.
  replayed_ = replayer_.run(plan.replay, images_b3ss.size(0), [&] { plan.sums = scores_of(plan.images, plan.masks); });
  return plan.sums.clone();  // the pool's memory is another graph's soon
}

void Predictor::take_part() {
  const auto& layers = model_->moe_layers();
  if (std::ranges::none_of(layers, [](const auto& layer) { return layer->group() != nullptr; })) return;
  predict({prepare(at::zeros({1, 1, 3}, at::kByte))});  // an image, since not every kernel takes a batch of none
}

Predictor load_predictor(const fs::path& step_folder, c10::Device device, const TestTimeOptions& test_time) {
  TrainOptions options;
  core::read_options(read_state(step_folder).config, {{"", {(step_folder / "state.json").string(), {}}}}, options);
  options.model.backbone.weights.clear();  // the checkpoint holds them
  model::Detector model(options.model);
  const auto file = step_weights(step_folder);
  if (file.filename() != "model.safetensors") spdlog::info("the weights are those of {}", file.string());
  nn::load_state(*model, core::load_safetensors(file).tensors, {.source = file.string()});
  model->to(device);
  if (options.engine.channels_last) to_channels_last(*model);
  set_precision(options.engine.precision);
  return {model, device, options.data.loader.size, options.engine, test_time};
}

}  // namespace codmoe::engine
