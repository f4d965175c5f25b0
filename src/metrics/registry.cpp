#include "codmoe/metrics/registry.h"

#include "codmoe/metrics/binary_measures.h"
#include "codmoe/metrics/context_measure.h"
#include "codmoe/metrics/e_measure.h"
#include "codmoe/metrics/human_correction_effort.h"
#include "codmoe/metrics/mae.h"
#include "codmoe/metrics/multiscale_iou.h"
#include "codmoe/metrics/s_measure.h"
#include "codmoe/metrics/size_invariance.h"
#include "codmoe/metrics/weighted_f_measure.h"

namespace codmoe::metrics {
namespace {

void add_scalars(std::vector<Column>& list, bool extended) {
  for (std::size_t i = 0; i < scalar_metrics().size(); ++i) {
    const ScalarMetric& metric = scalar_metrics()[i];
    if (metric.extended != extended) continue;
    list.push_back({std::string(metric.name), MetricKind::scalar, Statistic::value, i, metric.higher_is_better,
                    !extended, extended});
  }
}

void add_threshold_metric(std::vector<Column>& list, std::size_t i) {
  const ThresholdMetric& metric = threshold_metrics()[i];
  const auto add = [&](std::string name, Statistic statistic, bool headline = false) {
    list.push_back({std::move(name), MetricKind::threshold, statistic, i, metric.higher_is_better, headline, false});
  };
  const std::string key(metric.key);
  const bool headline = key == "Em" || key == "Fm";
  if (key == "iou") add("IoU", Statistic::binary, true);
  add("adp" + key, Statistic::adaptive, headline);
  add("mean" + key, Statistic::curve_mean, headline);
  add("max" + key, Statistic::curve_max, headline);
  if (metric.binary_key.empty()) return;
  add("sample_bi" + std::string(metric.binary_key), Statistic::binary);
  add("overall_bi" + std::string(metric.binary_key), Statistic::pooled);
}

void add_curve_metric(std::vector<Column>& list, std::size_t i) {
  const CurveMetric& metric = curve_metrics()[i];
  const auto add = [&](const char* statistic_name, Statistic statistic) {
    list.push_back({statistic_name + std::string(metric.key), MetricKind::curve, statistic, i, metric.higher_is_better,
                    false, true});
  };
  add("adp", Statistic::adaptive);
  add("mean", Statistic::curve_mean);
  add("max", Statistic::curve_max);
  add("sample_bi", Statistic::binary);
  if (metric.pooled != nullptr) add("overall_bi", Statistic::pooled);
}

std::vector<Column> make_columns() {
  std::vector<Column> list;
  add_scalars(list, false);
  for (std::size_t i = 0; i < threshold_metrics().size(); ++i) add_threshold_metric(list, i);
  add_scalars(list, true);
  for (std::size_t i = 0; i < curve_metrics().size(); ++i) add_curve_metric(list, i);
  return list;
}

}  // namespace

const std::vector<ScalarMetric>& scalar_metrics() {
  static const std::vector<ScalarMetric> list{
      {"Smeasure", s_measure, true},       {"wFmeasure", weighted_f_measure, true},
      {"MAE", mean_absolute_error, false}, {"si_mae", size_invariant_mae, false, true},
      {"cm", context_measure, true, true}, {"hce", human_correction_effort, false, true},
  };
  return list;
}

const std::vector<ThresholdMetric>& threshold_metrics() {
  static const std::vector<ThresholdMetric> list{
      {"Em", "", e_measure, true},
      {"Fm", "fm", [](const Confusion& c) { return f_measure(c, 0.3); }, true},
      {"iou", "iou", iou, true},
      {"dice", "dice", dice, true},
      {"f1", "f1", [](const Confusion& c) { return f_measure(c, 1); }, true},
      {"pre", "pre", precision, true},
      {"rec", "rec", recall, true},
      {"spec", "spec", specificity, true},
      {"fpr", "fpr", false_positive_rate, false},
      {"ber", "ber", balanced_error_rate, false},
      {"oa", "oa", overall_accuracy, true},
      {"kappa", "kappa", kappa, true},
  };
  return list;
}

const std::vector<CurveMetric>& curve_metrics() {
  static const std::vector<CurveMetric> list{
      {"si_fm", size_invariant_f_measure, [](const Confusion& c) { return f_measure(c, 0.3); }, true},
      {"msiou", multiscale_iou, nullptr, true},
  };
  return list;
}

const std::vector<Column>& columns() {
  static const std::vector<Column> list = make_columns();
  return list;
}

}  // namespace codmoe::metrics
