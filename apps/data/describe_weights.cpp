#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "codmoe/backbone/weights.h"
#include "codmoe/core/safetensors.h"
#include "codmoe/nn/inventory.h"
#include "data/lines.h"
#include "data/weights.h"

namespace codmoe::apps {

namespace fs = std::filesystem;

namespace {

std::string size_text(int64_t bytes) {
  const auto amount = static_cast<double>(bytes);
  if (bytes < 1000) return fmt::format("{} B", bytes);
  return bytes < 1'000'000 ? fmt::format("{:.1f} kB", amount / 1e3) : fmt::format("{:.1f} MB", amount / 1e6);
}

/// The tensors of a detector's backbone without their prefix; all tensors where there is no detector.
core::TensorMap backbone_part(const core::TensorMap& tensors) {
  constexpr std::string_view prefix = "backbone.";
  core::TensorMap part;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) part[name.substr(prefix.size())] = tensor;
  }
  return part.empty() ? tensors : part;
}

enum class Kind { detector, backbone, optimizer, other };

Kind kind_of(const core::TensorMap& tensors, bool fits) {
  const auto has = [&](const std::string& prefix) {
    const auto next = tensors.lower_bound(prefix);
    return next != tensors.end() && next->first.starts_with(prefix);
  };
  if (has("backbone.") && has("decoder.")) return Kind::detector;
  if (has("step.") && tensors.contains("skipped")) return Kind::optimizer;
  return fits ? Kind::backbone : Kind::other;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::detector:
      return "weights of a detector";
    case Kind::backbone:
      return "weights of a backbone";
    case Kind::optimizer:
      return "state of an optimizer";
    case Kind::other:
      break;
  }
  return "tensors";
}

void print_parts(const std::vector<nn::Part>& parts) {
  const auto indented = [](const nn::Part& part) {
    return part.depth == 0 ? "all"
                           : std::string(static_cast<std::size_t>(2 * (part.depth - 1)), ' ') + plain(part.name);
  };
  std::size_t width = 4;
  for (const auto& part : parts) width = std::max(width, indented(part).size());
  fmt::print("{:{}} {:>8} {:>12} {:>10}\n", "part", width, "tensors", "values", "size");
  for (const auto& part : parts) {
    fmt::print("{:{}} {:8} {:12} {:>10}\n", indented(part), width, part.tensors, part.values, size_text(part.bytes));
  }
}

std::string dtypes_text(const core::TensorMap& tensors) {
  std::vector<std::string> counts;
  for (const auto& [dtype, count] : nn::count_dtypes(tensors)) counts.push_back(fmt::format("{} ({})", dtype, count));
  return fmt::format("{}", fmt::join(counts, ", "));
}

/// What no reader of weights wants to find, named.
void print_nonfinite(const core::TensorMap& tensors) {
  const auto names = plain(nn::find_nonfinite(tensors));
  print_line("not finite", names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
}

}  // namespace

void describe_weights(const fs::path& file) {
  const auto [tensors, metadata] = core::load_safetensors(file);
  const auto known = backbone::fitting_backbones(backbone_part(tensors));
  const auto kind = kind_of(tensors, !known.empty());
  fmt::print("{}: {}\n", file.string(), name_of(kind));
  const auto all = nn::list_parts(tensors, 0).front();
  print_line("holds", fmt::format("{} tensors of {} values, {}", all.tensors, all.values, size_text(all.bytes)));
  print_line("dtypes", dtypes_text(tensors));
  for (const auto& [key, value] : metadata) print_line("metadata", plain(key) + ": " + plain(value));
  if (kind != Kind::optimizer) {
    print_line("parameters", std::to_string(nn::count_parameters(tensors)));
    print_line("backbone", known.empty() ? "none that codmoe has" : fmt::format("fits {}", fmt::join(known, ", ")));
  }
  print_nonfinite(tensors);
  print_parts(nn::list_parts(tensors, kind == Kind::detector ? 2 : 1));
}

}  // namespace codmoe::apps
