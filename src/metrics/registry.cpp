#include "codmoe/metrics/registry.h"

#include "codmoe/metrics/binary_measures.h"
#include "codmoe/metrics/e_measure.h"
#include "codmoe/metrics/mae.h"
#include "codmoe/metrics/s_measure.h"
#include "codmoe/metrics/weighted_f_measure.h"

namespace codmoe::metrics {
namespace {

std::vector<Column> make_columns() {
  std::vector<Column> list;
  for (std::size_t i = 0; i < scalar_metrics().size(); ++i) {
    const ScalarMetric& metric = scalar_metrics()[i];
    list.push_back({std::string(metric.name), Statistic::value, i, metric.higher_is_better, true});
  }
  for (std::size_t i = 0; i < threshold_metrics().size(); ++i) {
    const ThresholdMetric& metric = threshold_metrics()[i];
    const auto add = [&](std::string name, Statistic statistic, bool headline = false) {
      list.push_back({std::move(name), statistic, i, metric.higher_is_better, headline});
    };
    const std::string key(metric.key);
    const bool headline = key == "Em" || key == "Fm";
    if (key == "iou") add("IoU", Statistic::binary, true);
    add("adp" + key, Statistic::adaptive, headline);
    add("mean" + key, Statistic::curve_mean, headline);
    add("max" + key, Statistic::curve_max, headline);
    if (metric.binary_key.empty()) continue;
    add("sample_bi" + std::string(metric.binary_key), Statistic::binary);
    add("overall_bi" + std::string(metric.binary_key), Statistic::pooled);
  }
  return list;
}

}  // namespace

const std::vector<ScalarMetric>& scalar_metrics() {
  static const std::vector<ScalarMetric> list{
      {"Smeasure", s_measure, true},
      {"wFmeasure", weighted_f_measure, true},
      {"MAE", mean_absolute_error, false},
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

const std::vector<Column>& columns() {
  static const std::vector<Column> list = make_columns();
  return list;
}

}  // namespace codmoe::metrics
