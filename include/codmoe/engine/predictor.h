// A trained detector, applied to images of any size.
#pragma once

#include <c10/core/Event.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "codmoe/engine/expert_load.h"
#include "codmoe/engine/options.h"
#include "codmoe/engine/ranks.h"
#include "codmoe/engine/replay.h"
#include "codmoe/engine/test_time.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::engine {

class NarrowWeights;

/// A photograph as the model takes it, on the CPU.
struct PredictorInput {
  int64_t height = 0;               ///< of the photograph
  int64_t width = 0;                ///< the same
  std::vector<at::Tensor> resized;  ///< uint8 [S, S, 3], one a scale
};

/// Maps on their way from the device.
class PredictedBatch {
 public:
  /// uint8 [H, W] of each image, in the images' order, on the CPU. Waits for the device.
  std::vector<at::Tensor> maps() const;
  /// What each image used of the layers, without test-time augmentation; empty where the model has none. Waits too.
  std::vector<std::vector<report::ExpertUse>> expert_use() const;

 private:
  friend class Predictor;
  std::vector<at::Tensor> maps_;
  at::Tensor choices_;                // float64 [B, 2 * layers, E]; undefined without layers
  std::optional<c10::Event> copied_;  // both are filled then; none: at once
};

/// Images in, 8-bit maps of the same size out. What codmoe-predict writes and codmoe-eval scores is this.
class Predictor {
 public:
  /// `model` lies on `device`; images are resized to `size` x `size` for it. Its weights may be changed between calls,
  /// in place. `graph_pool`: memory for graphs, where they are to share it with others; null: their own.
  Predictor(model::Detector model, c10::Device device, int64_t size, const EngineOptions& engine,
            const TestTimeOptions& test_time = {}, std::shared_ptr<core::GraphPool> graph_pool = nullptr);

  /// @param image uint8 [H, W, 3] RGB on the CPU. Safe to call from several threads.
  PredictorInput prepare(const at::Tensor& image) const;

  /// uint8 [H, W] each: round(255 * p), p = sigmoid(logit) of the finest logits, resized bilinearly, or p's mean over
  /// test-time augmentation. Switches the model to evaluation mode. On CUDA it queues the work and doesn't wait for it,
  /// as far as the model's layers don't.
  PredictedBatch predict(const std::vector<PredictorInput>& images);

  /// metrics::BatchScores::sums(), on the device, of masks uint8 [B, S, S] there and the maps of images uint8
  /// [B, 3, S, S]: as of predict(), at their own size and without test-time augmentation. Queues likewise. On CUDA,
  /// unless engine.graph is off, the second call with images of these sizes is captured in a CUDA graph, from which it
  /// and later ones are replayed; MoE layers are then run as engine::WithoutWaiting says.
  at::Tensor score_resized(const at::Tensor& images_b3ss, const at::Tensor& masks_bss);

  /// Stands for one predict() or score_resized() on a rank that has no image, while other ranks have. Does nothing
  /// unless the model's experts are spread over ranks (SparseCODMoEImpl::spread): predictions are collectives then.
  void take_part();

  /// Whether the last score_resized() was replayed from a graph.
  bool replayed() const { return replayed_; }

  /// The model's MoE layers.
  const std::vector<report::ExpertLayer>& layers() const { return layers_; }
  const TestTimeOptions& test_time() const { return test_time_; }

 private:
  /// Scores of batches of one size.
  struct ScorePlan {
    at::Tensor images, masks;
    at::Tensor sums;
    Replay replay;
  };

  at::Tensor upload(const std::vector<PredictorInput>& images, std::size_t scale) const;
  at::Tensor to_input(const at::Tensor& images_b3ss) const;
  at::Tensor finest_logits(const at::Tensor& batch_b3ss, std::vector<moe::Routing>& routings);
  at::Tensor scores_of(const at::Tensor& images_b3ss, const at::Tensor& masks_bss);

  model::Detector model_;
  c10::Device device_;
  EngineOptions engine_;
  TestTimeOptions test_time_;
  std::vector<int64_t> sizes_;  // of the model's input, one a scale
  std::vector<report::ExpertLayer> layers_;
  std::shared_ptr<NarrowWeights> narrow_weights_;
  Replayer replayer_;
  std::map<std::vector<int64_t>, ScorePlan> score_plans_;  // by the images' sizes
  bool replayed_ = false;
};

/// Builds the detector of a checkpoint, by its own configuration, with its averaged weights where it has
/// them (ema.safetensors), which is said, else its weights.
/// @throws core::Error where a file is missing, damaged or doesn't fit.
Predictor load_predictor(const std::filesystem::path& step_folder, c10::Device device,
                         const TestTimeOptions& test_time = {});

struct PredictFilesOptions {
  int64_t batch_size = 16;
  int64_t threads = 0;       ///< that decode; 0: one a core
  bool keep_images = false;  ///< hand the photographs on with their maps
  /// Hears of each file that cannot be read, which is then left out; none: the first one is thrown.
  std::function<void(std::size_t file, const std::exception&)> on_broken = {};
};

/// The map of one file.
struct FilePrediction {
  std::size_t file = 0;  ///< its position in the list
  at::Tensor map_hw;
  at::Tensor image;  ///< uint8 [H, W, 3]; undefined unless kept
  std::vector<report::ExpertUse> expert_use;
};

/// Predicts batch after batch, in the order of the files; images are decoded and resized ahead by threads, and `use` is
/// called while the device works on the next batch.
/// @throws core::Error naming a file that cannot be read, unless options.on_broken
void predict_files(Predictor& predictor, const std::vector<std::filesystem::path>& files,
                   const PredictFilesOptions& options, const std::function<void(std::vector<FilePrediction>)>& use);

/// Scores the model on a dataset; results, with the experts each image used, are added to `evaluation` under `name`, in
/// the dataset's order; it is also told the layers and the test-time augmentation.
/// `progress`, where given, hears the number of images done. Of several ranks each predicts its part, and the leader
/// alone scores and hears; the others' `evaluation` gets no results.
void evaluate_dataset(Predictor& predictor, const std::string& name, const data::Dataset& dataset, int64_t batch_size,
                      report::Evaluation& evaluation, const std::function<void(int64_t)>& progress = {},
                      const Ranks& ranks = {});

}  // namespace codmoe::engine
