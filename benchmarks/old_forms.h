// The forms that today's experts replace. They are kept here, and not in the library, to be compared with.
#pragma once

#include <string>
#include <vector>

#include "codmoe/experts/branched.h"

namespace codmoe::bench {

/// The guide's literal frequency expert: each band pools for itself, low = avgpool3(x), mid = low - avgpool5(x),
/// high = x - avgpool3(x), so that avgpool3 runs twice. The same function and parameters as experts::FrequencyExpert.
class TwicePooledFrequency final : public experts::BranchedExpert {
 public:
  explicit TwicePooledFrequency(const experts::ExpertOptions& options);

 protected:
  std::vector<at::Tensor> sources(const at::Tensor& x_bchw) const override;
};

/// The old contrast expert, of which the guide says "depthwise 3x3 + two 1x1" and no more. Taken here as the plain
/// chain, all of width C: f(x) = cna(C, C, 1)(cna(C, C, 1)(cna(C, C, 3, groups C)(x))), that is 2 C^2 + 9 C weights
/// beside the norms. Another function than today's, whose weights are C r (9 + 9 + 25) + C (C - 3r) + C^2, about
/// 12 C^2: even with 5 C channels between its two 1x1, the old form would be the smaller one.
class SeparableContrast final : public experts::Expert {
 public:
  explicit SeparableContrast(const experts::ExpertOptions& options);
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) override;
  std::optional<experts::ExpertDescription> describe() const override { return description_; }

 private:
  experts::ExpertDescription description_;
  std::vector<nn::ConvNormAct> convs_;
};

/// The attention expert without folding: queries, keys and values at every position, the answer broadcast over the
/// positions and then projected at each. The same function and parameters as experts::AttentionExpert.
class LiteralAttention final : public experts::Expert {
 public:
  explicit LiteralAttention(const experts::ExpertOptions& options);
  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b = std::nullopt) override;
  std::optional<experts::ExpertDescription> describe() const override { return description_; }

 private:
  int64_t heads_;
  experts::ExpertDescription description_;
  nn::Norm norm_{nullptr};
  torch::nn::Conv2d qkv_{nullptr}, proj_{nullptr};
};

/// One way to build an expert.
struct ExpertForm {
  std::string name;  ///< "new", "pooled twice", "depthwise + two 1x1", "literal"
  experts::ExpertPtr module;
  bool same_function = true;  ///< as the new one, whose weights it then has
};

/// The expert of that name as it is registered, then the old forms that it replaces, if any; on the CPU in float32,
/// with random norms. @throws core::UsageError as experts::make_expert().
std::vector<ExpertForm> make_forms(const std::string& expert, const experts::ExpertOptions& options);

}  // namespace codmoe::bench
