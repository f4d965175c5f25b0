// Ranks that watch each other, so that a run with a dead or hanging rank ends soon, and says which it was.
#pragma once

#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "codmoe/core/error.h"
#include "codmoe/dist/place.h"
#include "codmoe/dist/pulse.h"

namespace codmoe::dist {

/// From its construction on, this rank tells the others its state through the store, and follows theirs, on threads and
/// a connection of its own. Where a rank is silent (killed, stopped, its machine gone), makes no progress while others
/// wait for it, has failed, or took the store with it, this process ends at once by _exit(1), whatever its main thread
/// is in; the lowest rank that is left logs one line at error level, such as "rank 1 (gpu03, process 4711) has not
/// answered for 10 s, last in step 340: the run ends; ADVICE". All ranks must have one.
class Watch {
 public:
  /// @param store what connect() gave
  /// @param advice what the user should do then: "go on from the last checkpoint with --resume auto"; may be empty
  Watch(const Place& place, const c10::intrusive_ptr<c10d::Store>& store, std::string advice,
        const WatchLimits& limits = {});
  /// A rank that is neither done nor failed by now has failed.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// The main thread is further: it begins what `where` says ("step 340"). All ranks call it alike, since the one with
  /// the fewest calls is the one that the others wait for. Cheap: no system call.
  void beat(std::string_view where);
  /// The main thread begins to wait for the other ranks, in a collective or a barrier: until its next call it is not to
  /// blame. Without a text it is where it was.
  void waits(std::string_view where = {});
  /// The main thread begins something long without beats, or nothing in step with the others; so every watch begins.
  void rests(std::string_view where);

  /// Runs `body`, then announces that this rank is done; also where it was stopped by a signal. Where it throws, the
  /// others learn why, and the exception goes on; but where a collective failed, as it does on all ranks once one is
  /// dead, this waits to see whether another rank is to blame, and the process ends as described above.
  template <class Body>
  void run(const Body& body) {
    try {
      body();
    } catch (const core::Interrupted&) {
      done();
      throw;
    } catch (const std::exception& error) {
      fail(error);
      throw;
    }
    done();
  }

  /// What run() does at the end. Where this rank serves the store, it waits a few seconds for the others' end.
  void done();
  void fail(const std::exception& error);
  void fail(std::string_view message);

 private:
  void finish(std::chrono::milliseconds for_the_others);

  std::shared_ptr<class Vigil> vigil_;  // outlives this where its threads hang in a store that does not answer
  std::thread talk_, guard_;
};

}  // namespace codmoe::dist
