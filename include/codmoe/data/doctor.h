// Faults of datasets that would make a score wrong, or that deserve a look.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "codmoe/data/fault.h"
#include "codmoe/data/picture_signature.h"

namespace codmoe::data {

/// One fault of one file.
struct Finding {
  Fault fault;
  bool falsifies = true;  ///< a score over this dataset would be wrong; otherwise worth a look
  std::filesystem::path file;
  std::string detail;
  std::filesystem::path other = {};  ///< the file to look at beside it: its partner, its copy; may be empty
};

/// What one readable pair is like.
struct PairFacts {
  std::string name;
  std::filesystem::path image;
  std::filesystem::path mask;
  int64_t width = 0;              ///< pixels
  int64_t height = 0;             ///< pixels
  double coverage = 0.0;          ///< part of the mask above 127, in [0, 1]
  double centre_x = 0.5;          ///< centre of mass of the mask above 127, in image sides; 0.5 where it is empty
  double centre_y = 0.5;          ///< the same, downwards
  bool touches_border = false;    ///< a pixel of the mask's frame is above 127
  bool in_training_list = false;  ///< a list of the folder names it whose own name says train
  bool in_test_list = false;      ///< the same for val and test
  PictureSignature signature = {};
  uint64_t mask_hash = 0;  ///< of the mask's size and values
};

/// Side of `Examination::location`.
inline constexpr int64_t kLocationCells = 16;

/// Everything about one dataset folder.
struct Examination {
  std::filesystem::path dir;
  std::vector<PairFacts> pairs = {};   ///< pairs that could be read, by name
  std::vector<Finding> findings = {};  ///< by file, see sort_by_file
  /// How much of each cell objects cover, the mean over the pairs; row by row, whatever the images' sizes.
  std::array<double, kLocationCells * kLocationCells> location{};

  bool falsifies_scores() const;
};

/// Orders findings by file, then kind.
void sort_by_file(std::vector<Finding>& findings);

/// Called from one thread at a time with the number of items done so far.
using DoctorProgress = std::function<void(int64_t done, int64_t total)>;

/// Opens every file of a dataset folder, on all cores; a decoded pair a core is what it holds in memory. Text files
/// beside the two folders are lists where they are named like one (train, val, test) or mostly hold names of the set.
/// @throws core::Error where there is no such dataset folder; faults of files are findings.
Examination examine(const std::filesystem::path& dir, const DoctorProgress& progress = {});

/// Looks for copies of photographs within and between the examined sets, and adds what it finds to the later one's
/// findings. A copy between sets, or between a training list and a test list of one set, falsifies scores. Every image
/// is named with its likest copy alone, once within its set and once for each other set.
void find_copies(std::vector<Examination>& sets, const DoctorProgress& progress = {});

}  // namespace codmoe::data
