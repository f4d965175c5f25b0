// What the doctor found in datasets: as text, as JSON and as a page to look at.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "codmoe/core/options_json.h"
#include "codmoe/data/doctor.h"

namespace codmoe::report {

/// For each set its size and location statistics, and each kind of finding with its number and first files. Kinds that
/// falsify a score come first.
std::string format_examinations(std::span<const data::Examination> sets);

/// {"falsifies_scores": …, "datasets": [{"dir", "pairs", "faults", "notes", "kinds": {KIND: number}, "findings":
/// [{"kind", "falsifies", "file", "detail", "other"}], "statistics": {"width", "height", "coverage", "centre_x",
/// "centre_y": {"least", "median", "most"}, "sizes": {SIZE: number}, "touching_border", "location": 16 rows of 16}}]}.
/// Statistics only where a pair could be read.
core::Json to_json(std::span<const data::Examination> sets);

/// Writes dir/index.html, one file that needs no other and no network: the same with thumbnails of what was found.
/// @throws core::Error where the file cannot be written.
void write_examination_page(const std::filesystem::path& dir, std::span<const data::Examination> sets);

}  // namespace codmoe::report
