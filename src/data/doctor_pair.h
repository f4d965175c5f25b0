// One photograph and its mask under examination.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "codmoe/data/dataset.h"
#include "codmoe/data/doctor.h"

namespace codmoe::data {

using LocationMap = std::array<double, kLocationCells * kLocationCells>;

/// What a readable pair is like, and what its objects cover of each cell.
struct ExaminedPair {
  PairFacts facts;
  LocationMap location{};
};

/// Nothing where one of the files cannot be read; faults go to `findings`.
std::optional<ExaminedPair> examine_pair(const Item& item, std::vector<Finding>& findings);

}  // namespace codmoe::data
