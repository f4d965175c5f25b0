// What every rank tells the others of itself, again and again, and what follows from it: which rank is to blame when
// the run does not go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace codmoe::dist {

/// How far a rank is with the whole run.
enum class Stage { runs, done, failed, ends };

/// What its main thread does: long work without steps, steps, or nothing until the other ranks have come as far.
enum class Doing { rests, works, waits };

/// The state of one rank.
struct Pulse {
  int64_t beat = 0;      ///< another number each time
  int64_t progress = 0;  ///< another number each time that the main thread came further
  Stage stage = Stage::runs;
  Doing doing = Doing::rests;
  std::string where = "its start";  ///< where the main thread is: "step 340"
  std::string host;
  int64_t process = 0;
  std::string message;   ///< failed: why; ends: the line that says why the run ends
  int64_t speaker = -1;  ///< ends: the rank that prints the line
};

/// A pulse as text of one line, and back. @throws core::Error where the text is none
std::string write_pulse(const Pulse& pulse);
Pulse read_pulse(const std::string& text);

/// How long a rank may be silent, or without progress.
struct WatchLimits {
  std::chrono::milliseconds period{1000};     ///< between two pulses
  std::chrono::milliseconds silence{10000};   ///< without a pulse: the process is dead or stopped, or the machine
  std::chrono::milliseconds patience{25000};  ///< without progress where other ranks wait for it
};

/// Why the run ends, and which rank says so.
struct Verdict {
  std::string line;
  int64_t speaker = -1;  ///< below 0: none is left
};

/// Follows the pulses of all ranks and finds who is to blame. Time is what the caller passes on, so that a pause of
/// this very process is no silence of the others.
class Judge {
 public:
  /// @param advice what the user should do after the end, behind the reason; may be empty
  Judge(int64_t ranks, const WatchLimits& limits, std::string advice);

  /// One look at all ranks, nothing of those never heard of, `passed` after the last look.
  void look(const std::vector<std::optional<Pulse>>& pulses, std::chrono::milliseconds passed);

  /// In this order: the run's end as another rank found it; a rank that failed; one that is silent; one that makes no
  /// progress while others are further or wait (the one that is least far); or no rank that has made progress for twice
  /// the patience. Ranks that are done, and ranks at rest, are never blamed for what they don't do.
  std::optional<Verdict> verdict() const;

  /// A verdict found otherwise: "rank 0 (host, process 7) FAULT, last in step 3: the run ends; ADVICE".
  Verdict verdict_on(int64_t rank, const std::string& fault) const;
  /// "REASON: the run ends; ADVICE"; `blamed` does not say so itself, where it is a rank.
  Verdict verdict_of(const std::string& reason, int64_t blamed = -1) const;

  bool is_done(int64_t rank) const { return at(rank).pulse.stage == Stage::done; }
  /// Whether any rank but `self` still runs, and has not been silent for half the limit.
  bool any_alive(int64_t self) const;

 private:
  struct Seen {
    Pulse pulse;
    std::chrono::milliseconds silent{0}, still{0};
  };
  std::optional<Verdict> failed() const;
  std::optional<Verdict> silent() const;
  std::optional<Verdict> stuck() const;
  std::vector<int64_t> running() const;
  bool is_alive(int64_t rank) const;
  bool is_still(int64_t rank) const;
  const Seen& at(int64_t rank) const { return seen_[static_cast<std::size_t>(rank)]; }

  WatchLimits limits_;
  std::string advice_;
  std::vector<Seen> seen_;
};

}  // namespace codmoe::dist
