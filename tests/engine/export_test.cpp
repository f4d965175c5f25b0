#include "codmoe/engine/export.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/backbone/registry.h"
#include "codmoe/backbone/weights.h"
#include "codmoe/core/error.h"
#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/options.h"
#include "codmoe/model/detector.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

/// A checkpoint of a detector with this backbone, saved as the trainer does.
std::filesystem::path save_checkpoint(const std::filesystem::path& run, const std::string& name,
                                      model::Detector& model) {
  TrainOptions options;
  options.model.backbone.name = name;
  options.model.decoder.width = 8;
  // A checkpoint holds the backbone's weights: the file it began with may be gone.
  auto saved = options;
  saved.model.backbone.weights = "gone.safetensors";
  model = model::Detector(options.model);
  Progress progress;
  progress.step = 3;
  CheckpointStore(run / "checkpoints")
      .save(*model, training_state(Optimizer(parameter_groups(*model, options.model.backbone), options.optimizer)),
            /*average=*/nullptr, progress, core::write_options(saved), "", 1);
  return find_checkpoint(run, /*prefer_best=*/true);
}

TEST(Export, BackboneIsLoadedBackWithNothingMissing) {
  const test::TemporaryFolder folder;
  for (const auto* name : {"edgenext_xx_small", "tf_efficientnet_lite0"}) {
    SCOPED_TRACE(name);
    model::Detector model{nullptr};
    const auto step = save_checkpoint(folder / name, name, model);
    const auto output = folder / name / "backbone.safetensors";
    EXPECT_EQ(export_backbone(step, output), name);
    const auto file = core::load_safetensors(output);
    EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"backbone", name}, {"format", "pt"}}));
    const auto again = backbone::make_backbone({.name = name});
    const auto report = backbone::load_weights(*again, output);
    EXPECT_TRUE(report.ok() && report.ignored.empty()) << report.summary();
    const auto trained = nn::state_dict(model->backbone());
    EXPECT_EQ(file.tensors.size(), trained.size());
    for (const auto& [key, tensor] : nn::state_dict(*again)) EXPECT_TRUE(tensor.equal(trained.at(key))) << key;
  }
}

TEST(Export, ADamagedCheckpointWritesNothing) {
  const test::TemporaryFolder folder;
  model::Detector model{nullptr};
  const auto step = save_checkpoint(folder.path(), "tiny", model);
  auto tensors = core::load_safetensors(step / "model.safetensors").tensors;
  tensors.erase(tensors.lower_bound("backbone."));
  core::save_safetensors(step / "model.safetensors", tensors);
  EXPECT_THROW(export_backbone(step, folder / "out.safetensors"), core::Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "out.safetensors"));
}

}  // namespace
}  // namespace codmoe::engine
