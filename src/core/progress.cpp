#include "codmoe/core/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace codmoe::core {

namespace {

constexpr int kBarWidth = 24;
constexpr std::chrono::milliseconds kTerminalPause{100};
constexpr std::chrono::seconds kLogPause{10};

/// Columns; wide where the terminal doesn't say.
std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 1000;
}

}  // namespace

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::max(seconds, 0.0) + 0.5);
  const auto hours = whole / 3600, minutes = whole / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60)
                   : fmt::format("{}:{:02}", minutes, whole % 60);
}

void Rate::pause() {
  if (running_since_) passed_ += Clock::now() - *running_since_;
  running_since_.reset();
}

double Rate::take() {
  const bool running = running_since_.has_value();
  pause();
  if (running) start();
  const auto seconds = std::chrono::duration<double>(std::exchange(passed_, Clock::duration(0))).count();
  const auto units = static_cast<double>(std::exchange(units_, 0));
  return seconds > 0 ? units / seconds : 0.0;
}

ProgressLine::ProgressLine(std::string title, int64_t total, std::string unit, int64_t already)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      already_(already),
      done_(already),
      terminal_(::isatty(STDERR_FILENO) != 0 && spdlog::should_log(spdlog::level::info)),
      begin_(Clock::now()),
      drawn_(begin_) {}

ProgressLine::~ProgressLine() { clear(); }

double ProgressLine::rate() const {
  const std::chrono::duration<double> passed = Clock::now() - begin_;
  return passed.count() > 0 ? static_cast<double>(done_ - already_) / passed.count() : 0.0;
}

void ProgressLine::update(int64_t done, const std::function<std::string()>& details) {
  done_ = done;
  const auto now = Clock::now();
  if (now - drawn_ < (terminal_ ? Clock::duration(kTerminalPause) : Clock::duration(kLogPause))) return;
  drawn_ = now;
  draw(details ? details() : "");
}

void ProgressLine::draw(const std::string& details) {
  const double speed = rate();
  const auto left = speed > 0 ? format_duration(static_cast<double>(total_ - done_) / speed) : "?";
  const auto tail = fmt::format("{}/{}  {}{}{:.1f} {}/s  ETA {}", done_, total_, details, details.empty() ? "" : "  ",
                                speed, unit_, left);
  if (!terminal_) {
    spdlog::info("{} {}", title_, tail);
    return;
  }
  const auto filled = static_cast<int>(kBarWidth * done_ / std::max<int64_t>(total_, 1));
  auto text = fmt::format("{} [{:=<{}}{: <{}}] {}", title_, "", filled, "", kBarWidth - filled, tail);
  // A line that wraps can't be redrawn: on a narrow terminal the bar goes first, then the end.
  if (text.size() >= terminal_width()) text = fmt::format("{} {}", title_, tail).substr(0, terminal_width() - 1);
  fmt::print(stderr, "\r\x1b[2K{}", text);
}

void ProgressLine::clear() {
  if (terminal_) fmt::print(stderr, "\r\x1b[2K");
}

}  // namespace codmoe::core
