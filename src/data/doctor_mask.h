// A mask under examination.
#pragma once

#include <vector>

#include "codmoe/data/doctor.h"
#include "doctor_file.h"

namespace codmoe::data {

/// Faults of a readable mask's values and kind of file.
void examine_mask(const ExaminedFile& mask, const std::filesystem::path& path, const std::filesystem::path& image,
                  std::vector<Finding>& findings);

}  // namespace codmoe::data
