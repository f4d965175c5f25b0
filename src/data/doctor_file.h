// One image file under examination.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "codmoe/data/doctor.h"
#include "file_facts.h"

namespace codmoe::data {

/// A file that could be read.
struct ExaminedFile {
  FileFacts facts;
  at::Tensor pixels;  ///< as `read` returned them
};

/// Nothing where the file cannot be read; faults of the file itself go to `findings`. `other` is its partner.
std::optional<ExaminedFile> examine_file(const std::filesystem::path& path, const std::filesystem::path& other,
                                         at::Tensor (*read)(const std::filesystem::path&),
                                         std::vector<Finding>& findings);

}  // namespace codmoe::data
