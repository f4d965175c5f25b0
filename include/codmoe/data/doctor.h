// Faults of a dataset that would make a score wrong, or that deserve a look.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::data {

/// Kinds of findings; their names are those of `codmoe-data check`.
enum class Fault { unpaired, duplicate_name, unreadable, size_mismatch, empty_mask, full_mask, dark_mask, grey_mask };

constexpr auto enum_names(Fault) {
  return core::names<Fault>({{"unpaired", Fault::unpaired},
                             {"duplicate-name", Fault::duplicate_name},
                             {"unreadable", Fault::unreadable},
                             {"size-mismatch", Fault::size_mismatch},
                             {"empty-mask", Fault::empty_mask},
                             {"full-mask", Fault::full_mask},
                             {"dark-mask", Fault::dark_mask},
                             {"grey-mask", Fault::grey_mask}});
}

/// One fault of one file.
struct Finding {
  Fault fault;
  bool falsifies = true;  ///< a score over this dataset would be wrong; otherwise worth a look
  std::filesystem::path file;
  std::string detail;
};

/// What one readable pair is like.
struct PairFacts {
  std::string name;
  int64_t width = 0;      ///< pixels
  int64_t height = 0;     ///< pixels
  double coverage = 0.0;  ///< part of the mask above 127, in [0, 1]
};

/// Everything about one dataset folder.
struct Examination {
  std::vector<PairFacts> pairs;   ///< pairs that could be read, by name
  std::vector<Finding> findings;  ///< by file

  bool falsifies_scores() const;
};

/// Called from one thread at a time after each pair.
using DoctorProgress = std::function<void(int64_t examined, int64_t total)>;

/// Opens every file of a dataset folder, on all cores.
/// @throws core::Error where there is no such dataset folder; faults of files are findings.
Examination examine(const std::filesystem::path& dir, const DoctorProgress& progress = {});

}  // namespace codmoe::data
