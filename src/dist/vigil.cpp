#include "vigil.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

namespace codmoe::dist {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kEndHeard{3000};  // for the others to learn why the run ends, before their store goes

std::string key_of_pulse(int64_t rank) { return fmt::format("pulse/{}", rank); }

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

Pulse first_pulse() {
  Pulse pulse;
  pulse.host = host_name();
  pulse.process = ::getpid();
  return pulse;
}

}  // namespace

Vigil::Vigil(const Place& place, const c10::intrusive_ptr<c10d::Store>& store, std::string advice,
             const WatchLimits& limits)
    : place_(place),
      limits_(limits),
      served_(store),
      store_(store->clone()),
      heard_(static_cast<std::size_t>(place.ranks)),
      looked_(Clock::now()),
      own_(first_pulse()),
      judge_(place.ranks, limits, std::move(advice)) {}

// ---- the talking thread ----

void Vigil::talk() {
  bool gone = false;
  try {
    while (round()) {
    }
  } catch (const std::exception& error) {
    spdlog::debug("rank {}: the store is gone: {}", place_.rank, error.what());
    gone = true;
  }
  const std::lock_guard lock(mutex_);
  // A rank 0 that is done has waited for the others as long as it does.
  const bool expected = own_.stage != Stage::runs || (!place_.agent_store && judge_.is_done(0));
  if (gone && !expected) end_alone(verdict_on_store("is gone"));
  ended_ = true;
  changed_.notify_all();
}

bool Vigil::round() {
  tell();
  look();
  std::unique_lock lock(mutex_);
  if (own_.stage == Stage::runs) {
    if (const auto verdict = judge_.verdict()) {
      lock.unlock();
      end(*verdict);
    }
  }
  changed_.wait_for(lock, limits_.period, [this] { return stop_ || own_.stage != told_; });
  return !stop_;
}

void Vigil::tell() {
  Pulse pulse;
  {
    const std::lock_guard lock(mutex_);
    ++own_.beat;
    pulse = own_;
  }
  store_->set(key_of_pulse(place_.rank), write_pulse(pulse));
  const std::lock_guard lock(mutex_);
  told_ = pulse.stage;
}

void Vigil::look() {
  const auto pulses = hear();
  const auto passed = since(looked_);
  const std::lock_guard lock(mutex_);
  judge_.look(pulses, passed);
  ++rounds_;
  changed_.notify_all();
}

std::vector<std::optional<Pulse>> Vigil::hear() {
  std::vector<std::size_t> ranks;
  std::vector<std::string> keys;
  for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
    const auto key = key_of_pulse(static_cast<int64_t>(rank));
    if (!heard_[rank]) heard_[rank] = store_->check({key});
    if (!heard_[rank]) continue;
    ranks.push_back(rank);
    keys.push_back(key);
  }
  const auto texts = store_->multiGet(keys);
  std::vector<std::optional<Pulse>> pulses(heard_.size());
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    pulses[ranks[i]] = read_pulse(std::string(texts[i].begin(), texts[i].end()));
  }
  return pulses;
}

/// Time since `last`, which becomes now. At most two periods: more is a pause of this process.
milliseconds Vigil::since(Clock::time_point& last) const {
  const auto before = std::exchange(last, Clock::now());
  return std::min(std::chrono::duration_cast<milliseconds>(last - before), 2 * limits_.period);
}

// ---- the guarding thread ----

void Vigil::guard() {
  auto last = Clock::now();
  milliseconds unanswered{0};
  int64_t rounds = -1;
  std::unique_lock lock(mutex_);
  while (!ended_) {
    changed_.wait_for(lock, limits_.period, [this] { return ended_; });
    const auto passed = since(last);
    unanswered = std::exchange(rounds, rounds_) == rounds_ ? unanswered + passed : milliseconds(0);
    if (unanswered > limits_.silence && own_.stage != Stage::failed) {
      const auto whole = std::chrono::round<std::chrono::seconds>(unanswered);
      end_alone(verdict_on_store(fmt::format("has not answered for {} s", whole.count())));
    }
  }
}

Verdict Vigil::verdict_on_store(const std::string& fault) const {
  if (!place_.agent_store && place_.rank != 0) return judge_.verdict_on(0, fault);
  return judge_.verdict_of(fmt::format("the store at {}:{} {}", place_.master_host, place_.master_port, fault));
}

// ---- the end ----

/// Where the store is there: all ranks learn of it first.
void Vigil::end(const Verdict& verdict) {
  {
    const std::lock_guard lock(mutex_);
    own_.stage = Stage::ends;
    own_.message = verdict.line;
    own_.speaker = verdict.speaker;
    say(verdict);
  }
  try {
    tell();
    if (serves()) look_until_others_end();
  } catch (const std::exception& error) {
    spdlog::debug("rank {}: the store is gone: {}", place_.rank, error.what());
  }
  ::_exit(1);
}

void Vigil::look_until_others_end() {
  const auto deadline = Clock::now() + kEndHeard;
  while (judge_.any_alive(place_.rank) && Clock::now() < deadline) {
    std::this_thread::sleep_for(limits_.period / 4);
    look();
  }
}

void Vigil::end_alone(const Verdict& verdict) {
  say(verdict);
  ::_exit(1);
}

void Vigil::say(const Verdict& verdict) {
  if (std::exchange(said_, true)) return;
  const bool speaks = verdict.speaker == place_.rank || verdict.speaker < 0;
  spdlog::log(speaks ? spdlog::level::err : spdlog::level::debug, "{}", verdict.line);
  spdlog::default_logger()->flush();
}

// ---- the main thread ----

void Vigil::mark(Doing doing, std::string_view where) {
  const std::lock_guard lock(mutex_);
  ++own_.progress;
  own_.doing = doing;
  if (!where.empty()) own_.where = where;
}

void Vigil::announce(Stage stage, std::string_view message) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return own_.stage != Stage::ends; });  // never, where end() is about to end the process
  own_.stage = stage;
  own_.message = message;
  changed_.notify_all();
}

Stage Vigil::stage() {
  const std::lock_guard lock(mutex_);
  return own_.stage;
}

bool Vigil::wait_until_told(milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return ended_ || told_ == own_.stage; });
}

void Vigil::wait_for_others(milliseconds limit) {
  if (!serves()) return;
  std::unique_lock lock(mutex_);
  const auto rounds = rounds_;  // the next look shows those that have ended by now
  changed_.wait_for(lock, limit, [&] { return ended_ || (rounds_ > rounds && !judge_.any_alive(place_.rank)); });
}

void Vigil::stop() {
  const std::lock_guard lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

}  // namespace codmoe::dist
