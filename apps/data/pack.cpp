#include "data/pack.h"

#include <fmt/format.h>

#include "codmoe/core/parallel.h"
#include "codmoe/core/progress.h"
#include "codmoe/data/pack.h"
#include "data/lines.h"

namespace codmoe::apps {

namespace {

std::string mebibytes(double bytes) { return fmt::format("{:.1f} MiB", bytes / (1 << 20)); }

}  // namespace

void pack(const data::DatasetOptions& options, int64_t size, const std::filesystem::path& output) {
  const auto dataset = std::make_shared<data::Dataset>(options);
  data::write_pack(dataset, size, output);
  fmt::print("{}: {} samples, {}\n", output.string(), dataset->size(),
             mebibytes(static_cast<double>(std::filesystem::file_size(output))));
}

void describe_pack(const std::filesystem::path& file) {
  const auto set = data::Pack::open(file);
  const auto count = static_cast<int64_t>(set->names().size());
  {
    core::ProgressLine line("reading", count, "samples");
    core::parallel_for(
        count, /*threads=*/0, [&](int64_t i) { set->sample(i); }, [&](int64_t done) { line.update(done); });
  }
  print_line("packed set",
             fmt::format("{} samples, {} of pixels", count, mebibytes(static_cast<double>(set->bytes()))));
  print_line("reduced", set->reduced_for() == 0 ? "no" : fmt::format("for batches of {} pixels", set->reduced_for()));
  print_line("names", data::fingerprint_of(set->names()));
  print_line("checksums", "all samples are whole");
}

}  // namespace codmoe::apps
