// What tables show: the headline scores of each run on each dataset.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "codmoe/metrics/registry.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// Places in metrics::columns().
const std::vector<std::size_t>& headline_columns();

/// With the digits of every table. "nan" where undefined.
std::string format_score(double score);

struct ScoreRow {
  const Evaluation* run;
  const DatasetResult* dataset;
  metrics::Summary summary;
  std::vector<bool> is_best;  ///< in the order of metrics::columns(), among several runs on the dataset; as far as the
                              ///< digits tell, so there may be several; none where all are undefined
};

/// Dataset by dataset in the order of their first run.
std::vector<ScoreRow> score_rows(std::span<const Evaluation> runs);

/// "run, dataset", or the dataset alone where there is one run.
std::string label_of(const ScoreRow& row, std::span<const Evaluation> runs);

/// "inputs: run, dataset: n 199, masks 0123…, predictions 4567…", with their checksums.
std::string inputs_of(const ScoreRow& row, std::span<const Evaluation> runs);

}  // namespace codmoe::report
