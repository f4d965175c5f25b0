#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "codmoe/core/files.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/formats.h"
#include "score_rows.h"
#include "text.h"

namespace codmoe::report {
namespace {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted;
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return '"' + quoted + '"';
}

bool in_csv(const metrics::Column& column, const metrics::ScoreOptions& options) {
  return column.statistic != metrics::Statistic::pooled && column.is_scored(options);
}

void append_csv_row(std::string& csv, const Evaluation& evaluation, const std::string& dataset,
                    const ImageResult& image, const metrics::ScoreOptions& options) {
  append(csv, "{},{},{},{},{},{}", csv_field(evaluation.run()), csv_field(dataset), csv_field(image.item.name),
         image.size.height, image.size.width, image.scores.counts.foreground);
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    if (in_csv(metrics::columns()[i], options)) append(csv, ",{}", image.values[i]);
  }
  csv += '\n';
}

// The experts an image used, highest weight first; ties in the order of the pool.
std::vector<std::size_t> used_experts(const ExpertUse& use) {
  std::vector<std::size_t> used;
  for (std::size_t e = 0; e < use.share.size(); ++e) {
    if (use.share[e] > 0) used.push_back(e);
  }
  std::ranges::stable_sort(used, std::ranges::greater(), [&](std::size_t e) { return use.weight[e]; });
  return used;
}

void append_routing_rows(std::string& csv, const std::string& start, const ImageResult& image,
                         const std::vector<ExpertLayer>& layers) {
  for (std::size_t i = 0; i < image.expert_use.size(); ++i) {
    const ExpertUse& use = image.expert_use[i];
    int rank = 0;
    for (const std::size_t e : used_experts(use)) {
      append(csv, "{},{},{},{},{},{:.6f},{:.6f}\n", start, csv_field(image.item.name), layers[i].name,
             csv_field(layers[i].experts[e]), ++rank, use.share[e], use.weight[e]);
    }
  }
}

}  // namespace

std::string to_csv(std::span<const Evaluation> runs) {
  const metrics::ScoreOptions options = score_options(runs);
  std::string csv = "run,dataset,name,height,width,foreground";
  for (const metrics::Column& column : metrics::columns()) {
    if (in_csv(column, options)) csv += ',' + column.name;
  }
  csv += '\n';
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      for (const ImageResult& image : dataset.images()) {
        append_csv_row(csv, evaluation, dataset.name(), image, options);
      }
    }
  }
  return csv;
}

std::string to_routing_csv(std::span<const Evaluation> runs) {
  std::string csv = "run,dataset,name,layer,expert,rank,share,weight\n";
  for (const Evaluation& evaluation : runs) {
    for (const DatasetResult& dataset : evaluation.datasets()) {
      const std::string start = csv_field(evaluation.run()) + ',' + csv_field(dataset.name());
      for (const ImageResult& image : dataset.images()) append_routing_rows(csv, start, image, evaluation.layers());
    }
  }
  return csv;
}

std::string to_curves_csv(std::span<const Evaluation> runs) {
  std::string csv = "run,dataset,threshold,precision,recall,Fm,Em\n";
  for (const ScoreRow& row : score_rows(runs)) {
    const std::string start = csv_field(row.run->run()) + ',' + csv_field(row.dataset->name());
    for (std::size_t t = 0; t < metrics::thresholds; ++t) {
      append(csv, "{},{}", start, t);
      for (const char* key : {"pre", "rec", "Fm", "Em"}) append(csv, ",{}", row.summary.curve(key)[t]);
      csv += '\n';
    }
  }
  return csv;
}

void write_csv(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_csv(runs));
}

void write_routing_csv(const std::filesystem::path& path, std::span<const Evaluation> runs) {
  core::write_file_atomically(path, to_routing_csv(runs));
}

}  // namespace codmoe::report
