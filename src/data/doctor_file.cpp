#include "doctor_file.h"

#include <fmt/format.h>

#include <array>
#include <string>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "whole_file.h"

namespace fs = std::filesystem;

namespace codmoe::data {
namespace {

const char* name_of_format(FileFormat format) {
  constexpr std::array kNames{"no image format that codmoe reads", "JPEG", "PNG", "BMP", "WebP", "TIFF"};
  return kNames[static_cast<std::size_t>(format)];
}

/// Why the file cannot be read; the decoder's own word is `detail`.
Fault reason(const std::string& bytes, const FileFacts& facts) {
  if (bytes.empty()) return Fault::empty_file;
  if (facts.format == FileFormat::unknown) return Fault::not_an_image;
  return is_whole(bytes) ? Fault::unreadable : Fault::truncated;
}

void find_oddities(const fs::path& path, const fs::path& other, const FileFacts& facts,
                   std::vector<Finding>& findings) {
  const auto note = [&](Fault fault, std::string detail) {
    findings.push_back({fault, false, path, std::move(detail), other});
  };
  if (facts.format != format_of_extension(path.extension().string())) {
    note(Fault::wrong_extension, fmt::format("its content is {}", name_of_format(facts.format)));
  }
  if (facts.alpha) note(Fault::alpha_channel, "its alpha channel is ignored");
  if (facts.bits > 8) note(Fault::sixteen_bit, fmt::format("{} bits a sample, of which 8 are read", facts.bits));
  if (facts.orientation != 1) {
    note(Fault::exif_rotation,
         fmt::format("EXIF orientation {}: turned upright here, but not by every program", facts.orientation));
  }
}

}  // namespace

std::optional<ExaminedFile> examine_file(const fs::path& path, const fs::path& other,
                                         at::Tensor (*read)(const fs::path&), std::vector<Finding>& findings) {
  std::string bytes;
  FileFacts facts;
  try {
    bytes = core::read_file(path);
    facts = facts_of(bytes);
  } catch (const core::Error& error) {
    findings.push_back({Fault::unreadable, true, path, error.what(), other});
    return std::nullopt;
  }
  try {
    const at::Tensor pixels = read(path);
    find_oddities(path, other, facts, findings);
    return ExaminedFile{facts, pixels};
  } catch (const core::Error& error) {
    std::string detail = error.what();
    if (const std::string prefix = path.string() + ": "; detail.starts_with(prefix)) detail.erase(0, prefix.size());
    findings.push_back({reason(bytes, facts), true, path, detail, other});
    return std::nullopt;
  }
}

}  // namespace codmoe::data
