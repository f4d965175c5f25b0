#include "predict/map_writer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <map>

#include "codmoe/core/error.h"
#include "codmoe/data/image_file.h"

namespace codmoe::apps {

namespace {

namespace fs = std::filesystem;

/// With "photo.1" of "photo.1.jpg": a name may hold dots.
fs::path target(const fs::path& folder, const fs::path& file, const char* ending) {
  auto name = file.stem();
  name += ending;
  return folder / name;
}

std::vector<fs::path> targets(const MapWriterOptions& options, const fs::path& file) {
  std::vector<fs::path> list{target(options.folder, file, ".png")};
  if (options.overlay) list.push_back(target(options.folder, file, ".overlay.png"));
  return list;
}

void check_targets(const MapWriterOptions& options, const std::vector<fs::path>& files) {
  std::map<fs::path, fs::path> writers;
  std::error_code absent;
  for (const auto& file : files) {
    for (const auto& path : targets(options, file)) {
      const auto [entry, is_new] = writers.emplace(path, file);
      if (!is_new) {
        throw core::UsageError(fmt::format("{} and {}: both would be written as {}", entry->second.string(),
                                           file.string(), path.filename().string()));
      }
      if (fs::equivalent(path, file, absent)) {
        throw core::UsageError(
            fmt::format("--output {}: {} would be overwritten by its own map", options.folder.string(), file.string()));
      }
    }
  }
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (!failure && ::access(folder.c_str(), W_OK | X_OK) == 0) return;
  const auto reason = failure ? failure.message() : std::string(std::strerror(errno));
  throw core::Error(fmt::format("--output {}: cannot be written into: {}", folder.string(), reason));
}

/// 255 where p >= 1/2, that is from 128 on.
at::Tensor binary(const at::Tensor& map_hw) {
  auto mask = at::empty_like(map_hw);
  const auto* level = map_hw.const_data_ptr<uint8_t>();
  std::transform(level, level + map_hw.numel(), mask.mutable_data_ptr<uint8_t>(),
                 [](uint8_t p) { return static_cast<uint8_t>(p >= 128 ? 255 : 0); });
  return mask;
}

}  // namespace

// In plain loops here and above: tensor operations would start OpenMP's threads beside each of the writer's.
at::Tensor overlay(const at::Tensor& image_hw3, const at::Tensor& map_hw) {
  constexpr std::array<float, 3> red{255, 0, 0};
  auto shown = at::empty_like(image_hw3);
  const auto* in = image_hw3.const_data_ptr<uint8_t>();
  const auto* level = map_hw.const_data_ptr<uint8_t>();
  auto* out = shown.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < map_hw.numel(); ++i) {
    const float alpha = 0.6F / 255 * static_cast<float>(level[i]);
    for (const float colour : red) *out++ = static_cast<uint8_t>(std::lround(*in++ * (1 - alpha) + colour * alpha));
  }
  return shown;
}

MapWriter::MapWriter(const MapWriterOptions& options, const std::vector<fs::path>& files)
    : options_(options), files_(files), pool_(options.threads) {
  check_targets(options, files);
  make_folder(options.folder);
}

void MapWriter::write(engine::FilePrediction prediction) {
  wait_until_left(static_cast<std::size_t>(4 * pool_.size()));
  queued_.push_back(pool_.submit([this, prediction = std::move(prediction)] { write_now(prediction); }));
}

void MapWriter::wait_until_left(std::size_t most) {
  while (queued_.size() > most) {
    auto oldest = std::move(queued_.front());
    queued_.pop_front();
    oldest.get();
  }
}

void MapWriter::write_now(const engine::FilePrediction& prediction) const {
  const auto& map = prediction.map_hw;
  const auto& file = files_[prediction.file];
  data::write_png(target(options_.folder, file, ".png"), options_.format == MapFormat::mask ? binary(map) : map);
  if (options_.overlay) data::write_png(target(options_.folder, file, ".overlay.png"), overlay(prediction.image, map));
}

}  // namespace codmoe::apps
