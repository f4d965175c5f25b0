#pragma once

#include <string>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// A table with bars for each of the layers: the experts' load by size of the object. Empty where no model ran.
std::string load_tables_html(const DatasetResult& dataset, const std::vector<ExpertLayer>& layers);

}  // namespace codmoe::report
