// How a run speaks of its experts' load.
#pragma once

#include <string>
#include <vector>

#include "codmoe/core/options_json.h"
#include "codmoe/model/detector.h"
#include "codmoe/moe/telemetry.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::engine {

/// The model's MoE layers by the names of their parameters ("moe.0"), with their experts.
std::vector<report::ExpertLayer> expert_layers(model::DetectorImpl& model);

/// {"load": {EXPERT: …}, "probability": {EXPERT: …}, "entropy", "cv", "dead", "decisions"}: moe::LoadReport's terms.
core::Json load_json(const moe::LoadReport& report, const report::ExpertLayer& layer);

/// A load below this is warned of.
inline constexpr double rare_load = 0.01;

/// Names of the experts whose load was below rare_load.
std::vector<std::string> rare_experts(const moe::LoadReport& report, const report::ExpertLayer& layer);

/// One line that names rare_experts() and says what may help under this way of balancing; `epoch` counts from 1.
std::string rare_expert_warning(const moe::LoadReport& report, const report::ExpertLayer& layer, int64_t epoch,
                                moe::BalanceMethod method);

}  // namespace codmoe::engine
