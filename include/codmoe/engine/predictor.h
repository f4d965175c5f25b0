// A trained detector, applied to images of any size.
#pragma once

#include <functional>
#include <vector>

#include "codmoe/engine/expert_load.h"
#include "codmoe/engine/options.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::engine {

/// Images in, 8-bit maps of the same size out. What codmoe-predict writes and codmoe-eval scores is this.
class Predictor {
 public:
  /// `model` lies on `device`; images are resized to `size` x `size` for it.
  Predictor(model::Detector model, c10::Device device, int64_t size, const EngineOptions& engine);

  /// images: uint8 [H, W, 3] RGB on the CPU, sizes may differ -> uint8 [H, W] each, round(255 * sigmoid(logit)) of the
  /// finest logits, resized bilinearly. Switches the model to evaluation mode.
  std::vector<at::Tensor> predict(const std::vector<at::Tensor>& images);

  /// What each image of the last predict() used of the layers(), read from the device at once.
  std::vector<std::vector<report::ExpertUse>> expert_use() const;
  /// The model's MoE layers.
  const std::vector<report::ExpertLayer>& layers() const { return layers_; }

 private:
  model::Detector model_;
  c10::Device device_;
  int64_t size_;
  EngineOptions engine_;
  std::vector<report::ExpertLayer> layers_;
  std::vector<moe::Routing> routings_;  // of the last predict(), one a layer
};

/// Builds the detector of a checkpoint, by its own configuration, with its averaged weights where it has
/// them (ema.safetensors), which is said, else its weights.
/// @throws core::Error where a file is missing, damaged or doesn't fit.
Predictor load_predictor(const std::filesystem::path& step_folder, c10::Device device);

/// Images decoded ahead while the device works: calls `use(first, maps)` for batch after batch of the files, `first`
/// the position of its first map. @throws core::Error naming a file that cannot be read.
void predict_files(Predictor& predictor, const std::vector<std::filesystem::path>& files, int64_t batch_size,
                   const std::function<void(std::size_t first, std::vector<at::Tensor> maps)>& use);

/// Scores the model on a dataset; results, with the experts each image used, are added to `evaluation` under `name`, in
/// the dataset's order.
/// `progress`, where given, hears the number of images done.
void evaluate_dataset(Predictor& predictor, const std::string& name, const data::Dataset& dataset, int64_t batch_size,
                      report::Evaluation& evaluation, const std::function<void(int64_t)>& progress = {});

}  // namespace codmoe::engine
