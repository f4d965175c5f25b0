// What the pairs of an examined set are like, and its findings by kind.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "codmoe/data/doctor.h"

namespace codmoe::report {

struct Spread {
  double least = 0, median = 0, most = 0;
};

/// One quantity over the pairs.
struct PairStatistic {
  std::string_view name;  ///< as in JSON
  bool is_share;          ///< in [0, 1]; otherwise pixels
  Spread spread;
};

/// Width, height, coverage and centre of mass; at least one pair is needed.
std::vector<PairStatistic> pair_statistics(const data::Examination& set);

/// Pairs by object_size_of: none, small, medium, big.
std::array<int64_t, 4> count_sizes(const data::Examination& set);

/// Pairs whose object touches the border.
int64_t count_at_border(const data::Examination& set);

/// Findings of one kind and weight.
struct KindOfFinding {
  data::Fault fault;
  bool falsifies;
  std::vector<const data::Finding*> findings;
};

/// Those that falsify a score first, then in the order of data::Fault.
std::vector<KindOfFinding> by_kind(const data::Examination& set);

/// "1234 pairs read, 1 fault, 2 notes".
std::string headline_of(const data::Examination& set);

/// The path within the set, where it is there.
std::string short_path(const std::filesystem::path& file, const data::Examination& set);

/// "40.2 %" of a share, "384" of pixels.
std::string format_value(const PairStatistic& statistic, double value);

}  // namespace codmoe::report
