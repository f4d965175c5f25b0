// SIGINT and SIGTERM as a request to stop at the next safe moment.
#pragma once

namespace codmoe::engine {

/// From its construction on, the two signals only set a flag; a second one of them ends the program at once,
/// where it comes a second later at least: launchers and their ranks may both be sent the same one. The default
/// handlers come back with its destruction.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that came, or 0.
  static int received();
};

}  // namespace codmoe::engine
