#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/core/parallel.h"
#include "codmoe/data/dataset.h"
#include "codmoe/data/image_file.h"
#include "codmoe/data/synth.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

std::string name_of_sample(int64_t index) { return fmt::format("synth_{:05}", index); }

std::vector<std::string> sorted_names(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(name_of_sample(i));
  std::sort(names.begin(), names.end());
  return names;
}

/// Makes the folder. What an earlier call with the same count wrote may be there and is replaced.
void prepare_folder(const fs::path& folder, const std::vector<std::string>& names) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw core::Error(fmt::format("{}: cannot be made: {}", folder.string(), failure.message()));
  for (const fs::path& path : list_images(folder)) {
    const bool ours =
        path.extension() == ".png" && std::binary_search(names.begin(), names.end(), path.stem().string());
    if (!ours) throw core::Error(fmt::format("{}: is in the way of a new dataset", path.string()));
  }
}

void write_list(const fs::path& path, int64_t first, int64_t end) {
  std::string lines;
  for (int64_t i = first; i < end; ++i) lines += name_of_sample(i) + "\n";
  core::write_file_atomically(path, lines);
}

void write_sample(const fs::path& dir, const SynthOptions& options, int64_t index) {
  const SynthSample sample = make_synth_sample(options, index);
  const std::string file = name_of_sample(index) + ".png";
  write_png(dir / "Imgs" / file, sample.image);
  write_png(dir / "GT" / file, sample.mask);
}

}  // namespace

void write_synth(const fs::path& dir, const SynthOptions& options, const SynthProgress& progress) {
  options.check();
  const std::vector<std::string> names = sorted_names(options.count);
  prepare_folder(dir / "Imgs", names);
  prepare_folder(dir / "GT", names);
  core::parallel_for(
      options.count, /*threads=*/0, [&](int64_t index) { write_sample(dir, options, index); }, progress);
  if (options.held_out == 0) return;
  const int64_t kept = options.count - options.held_out;
  write_list(dir / "train.txt", 0, kept);
  write_list(dir / "val.txt", kept, options.count);
}

}  // namespace codmoe::data
