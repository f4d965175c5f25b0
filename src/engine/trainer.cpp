#include "codmoe/engine/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "codmoe/core/device.h"
#include "codmoe/core/seed.h"
#include "codmoe/engine/expert_load.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/precision.h"
#include "codmoe/engine/schedule.h"
#include "codmoe/engine/signals.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/nn/weights.h"

namespace codmoe::engine {

namespace {

namespace fs = std::filesystem;
using core::Json;

std::shared_ptr<const data::Dataset> open_dataset(const data::DatasetOptions& options) {
  return options.dir.empty() ? nullptr : std::make_shared<const data::Dataset>(options);
}

std::shared_ptr<const data::Dataset> open_training_set(const data::DatasetOptions& options) {
  if (options.dir.empty()) throw core::UsageError("data.train.dir must name a folder with Imgs/ and GT/; it is empty");
  return open_dataset(options);
}

/// Seeds first, so that initial weights depend on the seed alone.
model::Detector make_model(const TrainOptions& options, c10::Device device) {
  core::set_deterministic(options.engine.deterministic);
  set_precision(options.engine.precision);
  core::seed_all(static_cast<uint64_t>(options.seed));
  model::Detector model(options.model);
  model->to(device);
  if (options.engine.channels_last) to_channels_last(*model);
  return model;
}

/// The scores that a table shows.
Json headline_json(const metrics::Summary& summary) {
  auto scores = Json::object();
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    if (metrics::columns()[i].headline) scores[metrics::columns()[i].name] = summary.values[i];
  }
  return scores;
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, fs::path run_folder, c10::Device device)
    : options_(options),
      folder_(std::move(run_folder)),
      device_(device),
      train_(open_training_set(options.data.train)),
      val_(open_dataset(options.data.val)),
      batches_(data::make_batch_source(train_, options.data.loader, options.data.augment, options.data.cache,
                                       static_cast<uint64_t>(options.seed), device, options.data.on_error)),
      model_(make_model(options, device)),
      step_(model_, options, device) {}

void Trainer::resume(const fs::path& step_folder) {
  const auto saved = read_state(step_folder);
  if (saved.data_fingerprint != train_->fingerprint()) {
    throw core::Error(
        fmt::format("{}: was trained on other images than those of {}", step_folder.string(), train_->dir().string()));
  }
  const auto file = step_folder / "model.safetensors";
  nn::load_state(*model_, core::load_safetensors(file).tensors, {.source = file.string()});
  restore_optimizer(step_folder, step_.optimizer());
  progress_ = saved.progress;
  spdlog::info("resumed from {}: epoch {}, step {}", step_folder.string(), progress_.epoch, progress_.step);
}

int64_t Trainer::steps_per_epoch() const {
  return (batches_->batches_per_epoch() + options_.engine.accumulate - 1) / options_.engine.accumulate;
}

double Trainer::lr_factor_now() const {
  const auto warmup = static_cast<int64_t>(options_.schedule.warmup_epochs * static_cast<double>(steps_per_epoch()));
  return lr_factor(progress_.step, warmup, options_.schedule.epochs * steps_per_epoch(), options_.schedule.final_lr);
}

void Trainer::run() {
  const StopSignal stop;
  fs::create_directories(folder_ / "checkpoints");
  log_ = std::make_unique<RunLog>(folder_, progress_.step);
  spdlog::info("training on {} images, {} parameters, {}", train_->size(), nn::count_parameters(*model_),
               core::device_name(device_));
  const auto total = train_->size() * options_.schedule.epochs;
  const auto already = train_->size() * progress_.epoch + progress_.batch * options_.data.loader.batch_size;
  core::ProgressLine line("training", total, "images", already);
  while (progress_.epoch < options_.schedule.epochs) {
    run_epoch(line);
    line.clear();
    finish_epoch();
  }
}

std::vector<data::Batch> Trainer::next_group() {
  std::vector<data::Batch> group;
  while (static_cast<int64_t>(group.size()) < options_.engine.accumulate) {
    auto batch = batches_->next();
    if (!batch) break;
    replaced_ += batch->replaced;
    group.push_back(std::move(*batch));
  }
  return group;
}

void Trainer::run_epoch(core::ProgressLine& line) {
  model_->train();
  freeze_for_epoch(*model_, step_.optimizer(), options_.model.backbone, progress_.epoch);
  whole_epoch_ = progress_.batch == 0;
  replaced_ = 0;
  batches_->start(progress_.epoch, progress_.batch);
  for (auto group = next_group(); !group.empty(); group = next_group()) {
    const auto loss = step_.run(group, progress_.epoch, lr_factor_now());
    progress_.step += 1;
    progress_.batch += static_cast<int64_t>(group.size());
    after_step(loss, line);
    if (const int signal = StopSignal::received(); signal != 0) {
      line.clear();
      save(/*best=*/false);
      spdlog::info("stopped by signal {} after step {}; go on with --resume auto", signal, progress_.step);
      throw core::Interrupted(signal);
    }
  }
  progress_.epoch += 1;
  progress_.batch = 0;
}

void Trainer::after_step(const at::Tensor& loss, core::ProgressLine& line) {
  loss_sum_ = loss_sum_.defined() ? loss_sum_ + loss : loss;
  loss_steps_ += 1;
  const double lr = options_.optimizer.lr * lr_factor_now();
  const auto images = std::min(progress_.batch * options_.data.loader.batch_size, train_->size());
  if (progress_.step % options_.engine.log_every == 0) {
    shown_loss_ = loss_sum_.item<double>() / static_cast<double>(loss_steps_);
    loss_sum_.reset();
    loss_steps_ = 0;
    log_->write({{"step", progress_.step},
                 {"epoch", progress_.epoch},
                 {"loss", *shown_loss_},
                 {"lr", lr},
                 {"images_per_s", line.rate()},
                 {"skipped", step_.optimizer().skipped().item<double>()}});
  }
  const auto loss_text = shown_loss_ ? fmt::format("loss {:.3f}  ", *shown_loss_) : "";
  line.update(train_->size() * progress_.epoch + images,
              fmt::format("epoch {}/{}  {}lr {:.1e}", progress_.epoch + 1, options_.schedule.epochs, loss_text, lr));
}

void Trainer::finish_epoch() {
  const auto due = [&](int64_t every) {
    return progress_.epoch % every == 0 || progress_.epoch == options_.schedule.epochs;
  };
  Json line = {{"step", progress_.step}, {"epoch", progress_.epoch}, {"moe", take_loads()}};
  if (options_.data.on_error == data::OnError::skip) line["replaced_samples"] = take_replaced();
  bool best = false;
  if (val_ && due(options_.engine.val_every)) {
    const auto summary = validate();
    const double iou = summary.at("IoU");
    best = iou > progress_.best_iou;
    if (best) {
      progress_.best_iou = iou;
      progress_.best_step = progress_.step;
    }
    line["val"] = headline_json(summary);
    spdlog::info("epoch {}: validation IoU {:.4f}{}", progress_.epoch, iou, best ? ", the best so far" : "");
  }
  log_->write(line);
  if (best || due(options_.engine.save_every)) save(best);
}

int64_t Trainer::take_replaced() {
  if (replaced_ > 0) {
    spdlog::warn("epoch {}: {} of {} samples could not be read, and others took their places", progress_.epoch,
                 replaced_, train_->size());
  }
  return std::exchange(replaced_, 0);
}

Json Trainer::take_loads() {
  auto loads = Json::object();
  const auto layers = expert_layers(*model_);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto report = step_.meters()[i].take();
    if (report.decisions == 0) continue;  // resumed behind the epoch's last step
    loads[std::to_string(i)] = load_json(report, layers[i]);
    if (whole_epoch_) warn_of_rare_experts(report, layers[i]);
  }
  return loads;
}

void Trainer::warn_of_rare_experts(const moe::LoadReport& report, const report::ExpertLayer& layer) {
  const auto names = rare_experts(report, layer);
  auto& before = rare_experts_[layer.name];
  if (!names.empty() && names != before) {
    spdlog::warn("{}", rare_expert_warning(report, layer, progress_.epoch, options_.model.moe.balance.method));
  }
  before = names;
}

metrics::Summary Trainer::validate() {
  Predictor predictor(model_, device_, options_.data.loader.size, options_.engine);
  report::Evaluation evaluation;
  evaluate_dataset(predictor, "val", *val_, options_.data.loader.batch_size, evaluation);
  return evaluation.dataset("val").summary();
}

void Trainer::save(bool best) {
  CheckpointStore(folder_ / "checkpoints")
      .save(*model_, step_.optimizer(), progress_, core::write_options(options_), train_->fingerprint(), best,
            options_.engine.keep_last);
}

}  // namespace codmoe::engine
