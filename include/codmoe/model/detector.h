// The whole network: one image in, one mask out.
#pragma once

#include <vector>

#include "codmoe/backbone/backbone.h"
#include "codmoe/model/decoder.h"
#include "codmoe/moe/sparse_codmoe.h"

namespace codmoe::model {

/// The parts of a detector.
struct DetectorOptions {
  backbone::BackboneOptions backbone;
  moe::MoeOptions moe;
  std::vector<int64_t> moe_strides = {16};  ///< pyramid levels that get a SparseCODMoE; may be empty
  DecoderOptions decoder;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("backbone", backbone);
    visit("moe", moe);
    visit("moe_strides", moe_strides);
    visit("decoder", decoder);
  }
  /// @throws core::BadOption for a stride that is none of the pyramid's, or stands twice.
  void check() const;
};

/// What one forward gives.
struct DetectorOutput {
  std::vector<at::Tensor> logits;      ///< [B, 1, H, W] each, at the input's size; finest level first
  std::vector<moe::Routing> routings;  ///< one a MoE layer
};

/// backbone -> SparseCODMoE at the chosen strides -> decoder. Parameters `backbone.*` (timm's names), `moe.N.*`,
/// `decoder.*`.
class DetectorImpl : public torch::nn::Module {
 public:
  /// @throws core::UsageError for options that check() refuses or an unknown backbone, core::Error for weights that
  ///   don't fit.
  explicit DetectorImpl(const DetectorOptions& options);
  /// images: [B, 3, H, W], floating-point, RGB in [0, 1]; they are normalised here, by the backbone's mean and
  /// deviation. @throws c10::Error for another shape or dtype.
  DetectorOutput forward(const at::Tensor& images_b3hw);

  backbone::Backbone& backbone() { return *backbone_; }
  std::vector<moe::SparseCODMoE>& moe_layers() { return moe_; }
  /// Which feature each of them takes, 0 the finest.
  const std::vector<std::size_t>& moe_levels() const { return moe_levels_; }
  Decoder& decoder() { return decoder_; }

 private:
  at::Tensor normalize(const at::Tensor& images_b3hw);

  std::shared_ptr<backbone::Backbone> backbone_;
  std::vector<std::size_t> moe_levels_;
  std::vector<moe::SparseCODMoE> moe_;
  Decoder decoder_{nullptr};
  at::Tensor mean_, inverse_std_;  // [3, 1, 1]; constants of the backbone, so not part of the weights
};
TORCH_MODULE(Detector);

/// images uint8 [B, 3, H, W] -> float32 in [0, 1].
at::Tensor to_unit_range(const at::Tensor& images_u8);

}  // namespace codmoe::model
