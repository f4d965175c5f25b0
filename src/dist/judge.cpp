#include <fmt/format.h>

#include <algorithm>

#include "codmoe/dist/pulse.h"

namespace codmoe::dist {

namespace {

int64_t seconds(std::chrono::milliseconds time) { return std::chrono::round<std::chrono::seconds>(time).count(); }

/// "rank 1 (gpu03, process 4711)"
std::string name_of(int64_t rank, const Pulse& pulse) {
  if (pulse.process == 0) return fmt::format("rank {}", rank);
  return fmt::format("rank {} ({}, process {})", rank, pulse.host, pulse.process);
}

}  // namespace

Judge::Judge(int64_t ranks, const WatchLimits& limits, std::string advice)
    : limits_(limits), advice_(std::move(advice)), seen_(static_cast<std::size_t>(ranks)) {}

void Judge::look(const std::vector<std::optional<Pulse>>& pulses, std::chrono::milliseconds passed) {
  for (std::size_t rank = 0; rank < seen_.size(); ++rank) {
    auto& seen = seen_[rank];
    const Pulse pulse = pulses[rank].value_or(Pulse());
    const bool further = pulse.progress != seen.pulse.progress;
    seen.silent = pulse.beat != seen.pulse.beat ? std::chrono::milliseconds(0) : seen.silent + passed;
    seen.still = further ? std::chrono::milliseconds(0) : seen.still + passed;
    seen.pulse = pulse;
  }
}

std::optional<Verdict> Judge::verdict() const {
  for (const auto& seen : seen_) {
    if (seen.pulse.stage == Stage::ends) return Verdict{seen.pulse.message, seen.pulse.speaker};
  }
  if (auto found = failed()) return found;
  if (auto found = silent()) return found;
  return stuck();
}

std::optional<Verdict> Judge::failed() const {
  for (int64_t rank = 0; rank < std::ssize(seen_); ++rank) {
    if (at(rank).pulse.stage != Stage::failed) continue;
    auto found = verdict_of("", rank);
    found.line = fmt::format("rank {} failed: {}", rank, at(rank).pulse.message);
    return found;
  }
  return std::nullopt;
}

std::optional<Verdict> Judge::silent() const {
  const auto longest = std::ranges::max_element(seen_, {}, [](const Seen& seen) {
    return seen.pulse.stage == Stage::runs ? seen.silent : std::chrono::milliseconds(-1);
  });
  if (longest->pulse.stage != Stage::runs || longest->silent <= limits_.silence) return std::nullopt;
  return verdict_on(longest - seen_.begin(), fmt::format("has not answered for {} s", seconds(longest->silent)));
}

bool Judge::is_still(int64_t rank) const {
  return is_alive(rank) && at(rank).pulse.doing == Doing::works && at(rank).still > limits_.patience;
}

std::optional<Verdict> Judge::stuck() const {
  const auto ranks = running();
  std::optional<int64_t> behind;
  for (const auto rank : ranks) {
    if (is_still(rank) && (!behind || at(rank).pulse.progress < at(*behind).pulse.progress)) behind = rank;
  }
  const bool others_wait =
      behind && std::ranges::any_of(ranks, [&](int64_t rank) {
        return at(rank).pulse.doing == Doing::waits || at(rank).pulse.progress > at(*behind).pulse.progress;
      });
  if (others_wait) {
    return verdict_on(*behind, fmt::format("has made no progress for {} s", seconds(at(*behind).still)));
  }
  const bool none_goes_on = std::ranges::all_of(ranks, [&](int64_t rank) {
    return at(rank).pulse.doing != Doing::rests && at(rank).still > 2 * limits_.patience;
  });
  if (ranks.empty() || !none_goes_on) return std::nullopt;
  return verdict_of(fmt::format("no rank has made progress for {} s, last in {}", seconds(2 * limits_.patience),
                                at(ranks[0]).pulse.where));
}

Verdict Judge::verdict_on(int64_t rank, const std::string& fault) const {
  const auto& pulse = at(rank).pulse;
  return verdict_of(fmt::format("{} {}, last in {}", name_of(rank, pulse), fault, pulse.where), rank);
}

Verdict Judge::verdict_of(const std::string& reason, int64_t blamed) const {
  const auto ranks = running();
  const auto speaker = std::ranges::find_if(ranks, [&](int64_t rank) { return rank != blamed && is_alive(rank); });
  return {fmt::format("{}: the run ends{}{}", reason, advice_.empty() ? "" : "; ", advice_),
          speaker == ranks.end() ? -1 : *speaker};
}

std::vector<int64_t> Judge::running() const {
  std::vector<int64_t> ranks;
  for (int64_t rank = 0; rank < std::ssize(seen_); ++rank) {
    if (at(rank).pulse.stage == Stage::runs) ranks.push_back(rank);
  }
  return ranks;
}

bool Judge::is_alive(int64_t rank) const {
  return at(rank).pulse.stage == Stage::runs && 2 * at(rank).silent < limits_.silence;
}

bool Judge::any_alive(int64_t self) const {
  return std::ranges::any_of(running(), [&](int64_t rank) { return rank != self && is_alive(rank); });
}

}  // namespace codmoe::dist
