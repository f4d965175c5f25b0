// The safetensors file format (https://github.com/huggingface/safetensors#format): the only format codmoe reads and
// writes tensors in. A file is a little-endian 64-bit header length, a JSON header, and the tensors' bytes.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

namespace codmoe::core {

/// Tensors by name, in the order of their names.
using TensorMap = std::map<std::string, at::Tensor>;

/// What a file holds.
struct SafetensorsFile {
  TensorMap tensors;                            ///< contiguous, on the CPU, each with its own memory
  std::map<std::string, std::string> metadata;  ///< the header's "__metadata__"
};

/// Reads a whole file; dtypes F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL.
/// Everything the header claims is checked before any memory is taken for it, so a damaged, truncated or hostile file
/// is refused with one line. @throws Error naming the file and, where there is one, the tensor; for a file of
/// torch.save (.pth, .pt) it says how to convert it.
SafetensorsFile load_safetensors(const std::filesystem::path& path);

/// The same, but the tensors are views of the file's pages, which are read when they are first touched. Writing to a
/// tensor changes neither the file nor what others see. The file must not be shortened while any of them lives;
/// replacing it by rename does no harm.
SafetensorsFile map_safetensors(const std::filesystem::path& path);

/// Writes `tensors` (any device and strides; copied to contiguous CPU memory) so that a reader sees the old file or the
/// new one, never half of one. The same tensors and metadata give the same bytes.
/// @throws Error naming the file and, where there is one, the tensor that safetensors cannot hold.
void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace codmoe::core
