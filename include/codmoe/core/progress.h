// What a person sees while work goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace codmoe::core {

/// A progress line on standard error: redrawn in place on a terminal, a plain line now and then elsewhere, nothing where
/// the log has no information.
class ProgressLine {
 public:
  /// `unit` names what is counted, "images"; `already` of them were done before the construction.
  ProgressLine(std::string title, int64_t total, std::string unit, int64_t already = 0);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// `details` is asked, each time the line is drawn, for what stands behind the bar: "loss 1.23  lr 1e-04".
  void update(int64_t done, const std::function<std::string()>& details = {});
  /// Units a second since the construction.
  double rate() const;
  /// Clears the line, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const std::string& details);

  std::string title_, unit_;
  int64_t total_, already_, done_;
  bool terminal_;
  Clock::time_point begin_, drawn_;
};

/// Units a second of work that pauses: between two readings, the pauses left out.
class Rate {
 public:
  void start() { running_since_ = Clock::now(); }
  void pause();
  void add(int64_t units) { units_ += units; }
  /// Since the last reading. 0 before any time has passed.
  double take();

 private:
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::time_point> running_since_;
  Clock::duration passed_{0};
  int64_t units_ = 0;
};

/// 75 -> "1:15", 4000 -> "1:06:40".
std::string format_duration(double seconds);

}  // namespace codmoe::core
