#include "codmoe/core/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>

namespace codmoe::core {
namespace {

/// Standard error is a terminal for as long as it lives.
class Terminal {
 public:
  Terminal() : controller_(::posix_openpt(O_RDWR | O_NOCTTY)), saved_(::dup(STDERR_FILENO)) {
    ::grantpt(controller_);
    ::unlockpt(controller_);
    const int terminal = ::open(::ptsname(controller_), O_RDWR | O_NOCTTY);
    termios mode{};
    ::tcgetattr(terminal, &mode);
    ::cfmakeraw(&mode);
    ::tcsetattr(terminal, TCSANOW, &mode);
    ::dup2(terminal, STDERR_FILENO);
    ::close(terminal);
  }
  ~Terminal() {
    ::dup2(saved_, STDERR_FILENO);
    ::close(saved_);
    ::close(controller_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void set_columns(unsigned short columns) const {
    const winsize size{.ws_row = 24, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ::ioctl(controller_, TIOCSWINSZ, &size);
  }
  /// What was written since the last call; waits for something.
  std::string read() const {
    std::array<char, 4096> buffer{};
    const auto count = ::read(controller_, buffer.data(), buffer.size());
    return {buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

 private:
  int controller_, saved_;
};

TEST(FormatDuration, HasHoursOnlyWhereThereAreAny) {
  EXPECT_EQ(format_duration(-1), "0:00");
  EXPECT_EQ(format_duration(59.4), "0:59");
  EXPECT_EQ(format_duration(59.5), "1:00");
  EXPECT_EQ(format_duration(75), "1:15");
  EXPECT_EQ(format_duration(4000), "1:06:40");
}

TEST(ProgressLine, RedrawsOnATerminalAndClearsAtTheEnd) {
  const Terminal terminal;
  {
    ProgressLine line("reading", 8, "pairs", 2);
    line.update(3, [] {
      ADD_FAILURE() << "asked for what is not drawn yet";
      return "";
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(110));
    line.update(4, [] { return "loss 1.5"; });
    const auto text = terminal.read();
    EXPECT_TRUE(text.starts_with("\r\x1b[2Kreading [============            ] 4/8  loss 1.5  ")) << text;
    EXPECT_NE(text.find(" pairs/s  ETA 0:00"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_GT(line.rate(), 0);
    EXPECT_LT(line.rate(), (4 - 2) / 0.11);
  }
  EXPECT_EQ(terminal.read(), "\r\x1b[2K");
}

TEST(ProgressLine, StaysOnOneLineOfANarrowTerminal) {
  const Terminal terminal;
  terminal.set_columns(40);
  ProgressLine line("reading", 8, "pairs");
  std::this_thread::sleep_for(std::chrono::milliseconds(110));
  line.update(4, [] { return "loss 1.5  and much more to say about it all"; });
  const auto text = terminal.read();
  EXPECT_EQ(text, "\r\x1b[2Kreading 4/8  loss 1.5  and much more to");
  EXPECT_EQ(text.size(), 5U + 39U);
}

TEST(ProgressLine, SaysNothingAtOnceWhereThereIsNoTerminal) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line("reading", 8, "pairs");
    line.update(8);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Rate, CountsBetweenReadingsWithoutPauses) {
  using std::chrono::milliseconds;
  Rate rate;
  rate.start();
  rate.add(3);
  std::this_thread::sleep_for(milliseconds(20));
  rate.pause();
  std::this_thread::sleep_for(milliseconds(200));
  const auto first = rate.take();
  EXPECT_LE(first, 3 / 0.02);
  EXPECT_GT(first, 3 / 0.2);  // by the pause alone it would be less
  EXPECT_EQ(rate.take(), 0);
  rate.start();
  std::this_thread::sleep_for(milliseconds(5));
  rate.add(1);
  EXPECT_GT(rate.take(), 0);
}

}  // namespace
}  // namespace codmoe::core
