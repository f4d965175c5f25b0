#pragma once

#include <span>
#include <string>

#include "score_rows.h"

namespace codmoe::report {

/// Inline SVG of the mean curves over 256 thresholds: precision over recall, F-measure and E-measure over the
/// threshold, with one line a row, and a legend. @param rows of one dataset, at least one
std::string curve_charts_html(std::span<const ScoreRow> rows);

}  // namespace codmoe::report
