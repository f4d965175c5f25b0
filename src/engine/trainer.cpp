#include "codmoe/engine/trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <utility>

#include "codmoe/core/device.h"
#include "codmoe/core/files.h"
#include "codmoe/core/seed.h"
#include "codmoe/dist/shared_statistics.h"
#include "codmoe/engine/expert_load.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/precision.h"
#include "codmoe/engine/signals.h"
#include "codmoe/engine/skips.h"
#include "codmoe/engine/step_memory.h"
#include "codmoe/engine/warm_start.h"
#include "codmoe/nn/weights.h"
#include "random_state.h"

namespace codmoe::engine {

namespace {

namespace fs = std::filesystem;
using core::Json;

std::shared_ptr<const data::Dataset> open_training_set(const data::DatasetOptions& options) {
  if (options.dir.empty()) throw core::UsageError("data.train.dir must name a folder with Imgs/ and GT/; it is empty");
  return std::make_shared<const data::Dataset>(options);
}

std::unique_ptr<Validator> make_validator(const TrainOptions& options, c10::Device device, const Ranks& ranks) {
  return options.data.val.dir.empty() ? nullptr : std::make_unique<Validator>(options, device, ranks);
}

/// Seeds first, so that initial weights depend on the seed alone. One that is not `fresh` gets other weights at once,
/// and needs none of the files that the run began with.
model::Detector make_model(const TrainOptions& options, c10::Device device, bool fresh, const Ranks& ranks) {
  core::set_deterministic(options.engine.deterministic);
  set_precision(options.engine.precision);
  core::seed_all(static_cast<uint64_t>(options.seed));
  auto own = options.model;
  if (!fresh) own.backbone.weights.clear();
  model::Detector model(own);
  if (fresh && !options.init.checkpoint.empty()) warm_start(*model, options.init);
  model->to(device);
  if (options.engine.channels_last) to_channels_last(*model);
  if (options.engine.ranks.spread_experts && ranks.ranks() > 1) {
    for (auto& layer : model->moe_layers()) layer->spread(*ranks.group());
  }
  return model;
}

/// Memory in use, in MiB.
Json memory_json(c10::Device device) {
  constexpr int64_t mib = 1024 * 1024;
  Json memory = {{"host_mib", core::resident_memory() / mib}};
  if (!device.is_cpu()) memory["device_mib"] = core::device_memory(device).peak_reserved / mib;
  return memory;
}

/// "load 21/18/15/17/14/15 %": the experts' shares in their order; layers stand one behind the other.
std::string load_text(const std::vector<moe::LoadMeter>& meters) {
  std::vector<std::string> layers;
  for (const auto& meter : meters) {
    std::vector<int64_t> percent;
    for (const double share : meter.read().load) percent.push_back(std::lround(100 * share));
    layers.push_back(fmt::format("{}", fmt::join(percent, "/")));
  }
  return layers.empty() ? "" : fmt::format("load {} %", fmt::join(layers, " "));
}

/// What state.json can't hold is said before the first step, not after it.
void refuse_other_text(const Json& config) {
  const auto flat = config.flatten();
  for (const auto& [key, value] : flat.items()) {
    try {
      value.dump();
    } catch (const Json::type_error&) {
      auto name = key.substr(1);
      std::ranges::replace(name, '/', '.');
      throw core::UsageError(
          fmt::format("{}: is no UTF-8, which a checkpoint can't keep; rename the file or folder", name));
    }
  }
}

void check_optimizer(const fs::path& step_folder, const Json& config, const std::string& now) {
  const Json::json_pointer name("/optimizer/name");
  if (!config.contains(name) || config.at(name) == now) return;
  const auto& found = config.at(name);
  const auto before = found.is_string() ? found.get<std::string>() : found.dump();
  throw core::Error(
      fmt::format("{}: was trained by optimizer.name: {}, here it is {}; begin a new run with --init-from",
                  step_folder.string(), before, now));
}

/// Each rank loads its part of every batch.
TrainOptions for_rank(TrainOptions options, const Ranks& ranks) {
  options.data.loader.shard = {.rank = ranks.rank(), .ranks = ranks.ranks()};
  return options;
}

}  // namespace

Trainer::Trainer(const TrainOptions& options, fs::path run_folder, c10::Device device, const fs::path& step_folder,
                 Ranks ranks)
    : options_(for_rank(options, ranks)),
      folder_(std::move(run_folder)),
      device_(device),
      ranks_(std::move(ranks)),
      train_(open_training_set(options.data.train)),
      lock_(ranks_.leads() ? std::make_unique<RunLock>(folder_) : nullptr),
      validator_(make_validator(options, device, ranks_)),
      batches_(data::make_batch_source(train_, options_.data.loader, options.data.augment, options.data.cache,
                                       static_cast<uint64_t>(options.seed), device, options.data.on_error)),
      model_(make_model(options, device, /*fresh=*/step_folder.empty(), ranks_)),
      step_(model_, options, device, ranks_.group()),
      predictor_(model_, device, options.data.loader.size, options.engine, {}, step_.graph_pool()) {
  seed_rank(ranks_, static_cast<uint64_t>(options.seed));
  if (!step_folder.empty()) resume(step_folder);
}

void Trainer::resume(const fs::path& step_folder) {
  const auto saved = read_state(step_folder);
  if (saved.data_fingerprint != train_->fingerprint()) {
    throw core::Error(
        fmt::format("{}: was trained on other images than those of {}", step_folder.string(), train_->dir().string()));
  }
  check_optimizer(step_folder, saved.config, core::write_options(options_).at("/optimizer/name"_json_pointer));
  const auto file = step_folder / "model.safetensors";
  nn::load_state(*model_, core::load_safetensors(file).tensors, {.source = file.string()});
  const auto seed = core::mix_seed(static_cast<uint64_t>(options_.seed), static_cast<uint64_t>(saved.progress.step), 0);
  restore_training_state(step_folder, step_.optimizer(), ranks_, seed);
  restore_average(step_folder, step_.average());
  progress_ = saved.progress;
  spdlog::info("resumed from {}: epoch {}, step {}", step_folder.string(), progress_.epoch, progress_.step);
}

int64_t Trainer::steps_per_epoch() const {
  return engine::steps_per_epoch(batches_->batches_per_epoch(), options_.engine.accumulate);
}

void Trainer::run() {
  try {
    train();
  } catch (const c10::OutOfMemoryError&) {
    throw core::Error(explain_out_of_memory());
  }
}

std::string Trainer::explain_out_of_memory() const {
  try {
    const KeptSamples kept{.training = batches_->device_bytes(),
                           .validation = validator_ ? validator_->kept_bytes() : 0};
    const auto available = core::free_memory(device_) + core::device_memory(device_).reserved - kept.all();
    return out_of_memory_message(options_, measure_step_memory(options_), kept, available);
  } catch (const std::exception& failure) {  // of steps on the CPU, by which it is measured
    return fmt::format("the GPU's memory does not hold a step: lower data.loader.batch_size or data.loader.size ({})",
                       failure.what());
  }
}

bool Trainer::stopped_early() const { return out_of_patience(progress_, options_.engine); }

void Trainer::train() {
  const StopSignal stop;
  refuse_other_text(core::write_options(options_));
  ranks_.let_leader([&] {
    core::remove_unfinished(folder_);
    checkpoints().rewind_to(progress_);
    fs::create_directories(folder_ / "checkpoints");
  });
  const bool has_best = progress_.best_step < 0 || checkpoints().has(progress_.best_step);
  if (!has_best) forget_best(progress_);  // it stayed in the folder that the run goes on from
  if (ranks_.leads()) log_ = std::make_unique<RunLog>(folder_, progress_);
  spdlog::info("training on {} images, {} parameters, {}", train_->size(), nn::count_parameters(*model_),
               core::device_name(device_));
  const auto total = train_->size() * options_.schedule.epochs;
  const auto already = train_->size() * progress_.epoch + progress_.batch * options_.data.loader.batch_size;
  core::ProgressLine line("training", total, "images", already);
  if (progress_.unvalidated && validator_) {
    finish_validation(ranks_.ask_leader([&] { return checkpoints().has(progress_.step); }));  // the run ended in it
  }
  while (progress_.epoch < options_.schedule.epochs && !stopped_early()) {
    run_epoch(line);
    line.clear();
    finish_epoch();
  }
  if (progress_.step > 0 && step_.optimizer().skipped().item<double>() >= static_cast<double>(progress_.step)) {
    throw core::Error("no step changed the weights: the loss or gradient of each was not finite");
  }
  if (progress_.epoch < options_.schedule.epochs) {
    spdlog::info("stopped after epoch {}: no better {} in {} validations (engine.patience)", progress_.epoch,
                 progress_.best_metric, progress_.since_best);
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
  rate_.start();
  batches_->start(progress_.epoch, progress_.batch);
  std::vector<data::Batch> latest;
  for (auto group = next_group(); !group.empty(); group = next_group()) {
    ranks_.beat(fmt::format("step {}", progress_.step + 1));
    const auto loss = step_.run(group, schedule().at(progress_.step));
    progress_.step += 1;
    progress_.batch += static_cast<int64_t>(group.size());
    for (const auto& batch : group) rate_.add(batch.shared_rows);
    after_step(loss, line);
    if (progress_.step % options_.engine.max_skips == 0) {
      stop_after_skips(step_.optimizer(), group, options_.engine.max_skips);
    }
    // One that any rank got, after the same step on all.
    if (const auto signal = static_cast<int>(ranks_.largest(StopSignal::received())); signal != 0) {
      line.clear();
      save();
      spdlog::info("stopped by signal {} after step {}; go on with --resume auto", signal, progress_.step);
      throw core::Interrupted(signal);
    }
    latest = std::move(group);
  }
  if (!latest.empty()) stop_after_skips(step_.optimizer(), latest, options_.engine.max_skips);
  rate_.pause();
  progress_.epoch += 1;
  progress_.batch = 0;
}

double Trainer::lr_now() const {
  return options_.optimizer.lr * schedule().at(std::max<int64_t>(0, progress_.step - 1)).lr[0];
}

void Trainer::after_step(const at::Tensor& loss, core::ProgressLine& line) {
  const auto& left_out = step_.optimizer().left_out();
  const auto counted =
      at::stack({at::where(left_out > 0, at::zeros_like(loss), loss), 1 - left_out.to(loss.scalar_type())});
  losses_ = losses_.defined() ? losses_ + counted : counted;
  if (progress_.step % options_.engine.log_every == 0) log_step();
  const auto images = std::min(progress_.batch * options_.data.loader.batch_size, train_->size());
  line.update(train_->size() * progress_.epoch + images, [this] { return progress_text(); });
}

void Trainer::log_step() {
  shown_loss_ = losses_[0].item<double>() / losses_[1].item<double>();
  losses_.reset();
  const dist::SharedStatistics shared(ranks_.group(), /*norms=*/false);
  shown_load_ = load_text(step_.meters());
  log({{"step", progress_.step},
       {"epoch", progress_.epoch},
       {"loss", *shown_loss_},
       {"lr", lr_now()},
       {"grad_norm", step_.optimizer().gradient_norm().item<double>()},
       {"balance_coefficient", moe::balance_coefficient(options_.model.moe.balance, progress_.epoch)},
       {"images_per_s", rate_.take()},
       {"skipped", step_.optimizer().skipped().item<double>()},
       {"memory", memory_json(device_)}});
}

std::string Trainer::progress_text() const {
  auto text = fmt::format("epoch {}/{}  lr {:.1e}", progress_.epoch + 1, options_.schedule.epochs, lr_now());
  if (shown_loss_) text += fmt::format("  loss {:.3f}  {}", *shown_loss_, shown_load_);
  const auto bytes = device_.is_cpu() ? core::resident_memory() : core::device_memory(device_).reserved;
  return text + fmt::format("  {:.1f} GiB", static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0));
}

void Trainer::finish_epoch() {
  const auto due = [&](int64_t every) {
    return progress_.epoch % every == 0 || progress_.epoch == options_.schedule.epochs;
  };
  const bool saves = due(options_.engine.save_every);
  progress_.unvalidated = validator_ && due(options_.engine.val_every);
  Json line = {{"step", progress_.step}, {"epoch", progress_.epoch}, {"moe", take_loads()}};
  if (options_.data.on_error == data::OnError::skip) line["replaced_samples"] = take_replaced();
  log(line);
  if (saves) save();  // before the validation: where that fails, the epoch's training is not lost
  if (progress_.unvalidated) finish_validation(saves);
}

void Trainer::finish_validation(bool saved) {
  core::synchronize(device_);  // the epoch's last steps are not part of it
  const auto begin = std::chrono::steady_clock::now();
  const auto scores = validate();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
  const bool best = note_validation(progress_, scores, options_.engine);
  progress_.unvalidated = false;
  log({{"step", progress_.step},
       {"epoch", progress_.epoch},
       {"val", logged_scores(scores, options_.engine)},
       {"val_resolution", core::name_of(options_.engine.val_resolution)}});
  spdlog::info("epoch {}: validation {} {:.4f}{}, {:.2f} s", progress_.epoch, progress_.best_metric,
               scores.at(options_.engine.best), best ? ", the best so far" : "", passed.count());
  const bool saves = !saved && (best || stopped_early());
  if (saves) save();
  if (ranks_.leads() && (saved || saves)) checkpoints().note_validation(progress_, best, options_.engine.keep_last);
}

int64_t Trainer::take_replaced() {
  const auto replaced = ranks_.sum(std::exchange(replaced_, 0));
  if (replaced > 0 && ranks_.leads()) {
    spdlog::warn("epoch {}: {} of {} samples could not be read, and others took their places", progress_.epoch,
                 replaced, train_->size());
  }
  return replaced;
}

Json Trainer::take_loads() {
  auto loads = Json::object();
  std::vector<tfevents::Histogram> histograms;
  const dist::SharedStatistics shared(ranks_.group(), /*norms=*/false);
  const auto layers = expert_layers(*model_);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const auto report = step_.meters()[i].take();
    if (report.decisions == 0) continue;  // resumed behind the epoch's last step
    loads[std::to_string(i)] = load_json(report, layers[i]);
    histograms.push_back({.tag = layers[i].name + "/experts", .counts = report.load});
    if (whole_epoch_ && ranks_.leads()) warn_of_rare_experts(report, layers[i]);
  }
  if (log_) log_->write(progress_.step, histograms);
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

Scores Trainer::validate() {
  const AveragedWeights averaged(step_.average());
  auto scores = validator_->scores(predictor_);
  const auto pictures = validator_->pictures(predictor_);
  if (log_) log_->write(progress_.step, pictures);
  return scores;
}

void Trainer::save() {
  ranks_.rests(fmt::format("saving step {}", progress_.step));
  step_.gather_experts();
  const auto state = training_state(step_.optimizer(), ranks_);
  if (!ranks_.leads()) return;
  checkpoints().save(*model_, state, step_.average(), progress_, core::write_options(options_), train_->fingerprint(),
                     options_.engine.keep_last);
}

}  // namespace codmoe::engine
