#include "codmoe/engine/event_file.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "codmoe/core/error.h"

namespace codmoe::engine {

namespace {

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  return name.data();
}

/// Readers take the files of a folder in the order of their names, and a run may be resumed within a second or after
/// the clock was set back: so behind the last one there is.
std::filesystem::path new_event_file(const std::filesystem::path& folder) {
  const std::string prefix = "events.out.tfevents.";
  auto time = static_cast<int64_t>(wall_time());
  std::error_code unreadable;  // then the file cannot be made either, which is said there
  for (const auto& entry : std::filesystem::directory_iterator(folder, unreadable)) {
    const auto name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    time = std::max<int64_t>(time, std::strtoll(name.c_str() + prefix.size(), nullptr, 10) + 1);
  }
  return folder / fmt::format("{}{:010}.{}", prefix, time, host_name());
}

}  // namespace

EventFile::EventFile(const std::filesystem::path& folder, int64_t step)
    : path_(new_event_file(folder)), stream_(path_, std::ios::binary) {
  append(tfevents::version_event(wall_time()));
  append(tfevents::start_event(wall_time(), step + 1));
}

void EventFile::write(int64_t step, std::span<const tfevents::Scalar> scalars) {
  append(tfevents::scalars_event(wall_time(), step, scalars));
}

void EventFile::write(int64_t step, std::span<const tfevents::Histogram> histograms) {
  if (!histograms.empty()) append(tfevents::histograms_event(wall_time(), step, histograms));
}

void EventFile::write(int64_t step, std::span<const tfevents::Image> images) {
  if (!images.empty()) append(tfevents::images_event(wall_time(), step, images));
}

void EventFile::append(const std::string& event) {
  stream_ << tfevents::record(event) << std::flush;
  if (!stream_) throw core::Error(fmt::format("cannot write {}: {}", path_.string(), std::strerror(errno)));
}

}  // namespace codmoe::engine
