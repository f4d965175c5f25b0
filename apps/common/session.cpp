#include "common/session.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>

#include "codmoe/core/device.h"
#include "codmoe/dist/store.h"

namespace codmoe::apps {

namespace {

constexpr std::chrono::seconds kMeetingTime{120};

/// Each rank of a machine has its own GPU.
c10::Device device_at(const std::string& text, const dist::Place& place) {
  const auto device = core::parse_device(text);
  if (device.is_cpu()) return device;
  if (text.starts_with("cuda:") && place.local_ranks > 1) {
    throw core::UsageError(fmt::format("--device: {} is one GPU for {} processes; name cuda, and each takes its own",
                                       text, place.local_ranks));
  }
  const auto own = core::parse_device(fmt::format("cuda:{}", place.local_rank));
  c10::impl::VirtualGuardImpl(own.type()).setDevice(own);
  return own;
}

/// One rank tells what all know.
void keep_quiet(const dist::Place& place) {
  spdlog::set_pattern(fmt::format("%H:%M:%S %^%l%$ rank {}: %v", place.rank));
  if (place.rank > 0) spdlog::set_level(std::max(spdlog::get_level(), spdlog::level::warn));
}

dist::WatchLimits limits(double patience) {
  dist::WatchLimits limits;
  limits.patience = std::chrono::milliseconds(std::llround(1000 * patience));
  return limits;
}

}  // namespace

struct Session::Meeting {
  Meeting(const dist::Place& place, c10::Device own, const std::string& advice, double patience)
      : device(own),
        store(dist::connect(place, kMeetingTime)),
        watch(place, store, advice, limits(patience)),
        group(store, place.rank, place.ranks, device) {}

  c10::Device device;
  c10::intrusive_ptr<c10d::Store> store;
  dist::Watch watch;
  dist::Group group;
};

Session::Session(const CommonOptions& common, const std::string& advice, double patience) : device_(common.device) {
  core::check_device_name(device_);  // whether it is there is asked where one is used
  const auto place = dist::place_from_environment();
  if (!place) return;
  const auto device = device_at(device_, *place);
  keep_quiet(*place);
  meeting_ = std::make_unique<Meeting>(*place, device, advice, patience);
  ranks_ = engine::Ranks(meeting_->group, &meeting_->watch);
}

Session::~Session() = default;

c10::Device Session::device() const { return meeting_ ? meeting_->device : core::parse_device(device_); }

void Session::run(const std::function<void()>& body) {
  if (!meeting_) return body();
  meeting_->watch.run(body);
}

}  // namespace codmoe::apps
