// The two threads of a Watch, and what they share with the main thread.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codmoe/dist/place.h"
#include "codmoe/dist/pulse.h"

namespace codmoe::dist {

/// talk() tells and hears through the store, and ends the process by what it hears. guard() ends it where the store
/// itself doesn't answer, which may block talk() for good. Everything else is the main thread's.
class Vigil {
 public:
  Vigil(const Place& place, const c10::intrusive_ptr<c10d::Store>& store, std::string advice,
        const WatchLimits& limits);

  void talk();   ///< until stop(), or the store is gone
  void guard();  ///< until talk() has ended
  void stop();

  void mark(Doing doing, std::string_view where);
  void announce(Stage stage, std::string_view message = "");
  Stage stage();
  /// Waits until the others can read what was announced, or the store is gone. @return whether talk() is at large
  bool wait_until_told(std::chrono::milliseconds limit);
  /// Waits until no other rank runs, where this one serves the store.
  void wait_for_others(std::chrono::milliseconds limit);

  const WatchLimits& limits() const { return limits_; }

 private:
  using Clock = std::chrono::steady_clock;
  bool round();
  void tell();
  void look();
  std::vector<std::optional<Pulse>> hear();
  bool serves() const { return place_.rank == 0 && !place_.agent_store; }
  std::chrono::milliseconds since(Clock::time_point& last) const;
  Verdict verdict_on_store(const std::string& fault) const;
  [[noreturn]] void end(const Verdict& verdict);
  void look_until_others_end();
  [[noreturn]] void end_alone(const Verdict& verdict);
  void say(const Verdict& verdict);

  const Place place_;
  const WatchLimits limits_;
  const c10::intrusive_ptr<c10d::Store> served_;  // where rank 0 serves, the server lives as long as this
  const c10::intrusive_ptr<c10d::Store> store_;   // a connection for talk() alone
  std::vector<bool> heard_;                       // talk()'s
  Clock::time_point looked_;                      // talk()'s

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  Pulse own_;
  Judge judge_;  // written by talk() alone
  Stage told_ = Stage::runs;
  int64_t rounds_ = 0;
  bool stop_ = false, ended_ = false, said_ = false;
};

}  // namespace codmoe::dist
