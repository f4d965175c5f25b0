#include "codmoe/engine/signals.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>

namespace codmoe::engine {

namespace {

// Atomic, since the kernel may run the handler on any thread; lock-free, since a handler may not take a lock.
std::atomic<int> g_signal = 0;
std::atomic<int64_t> g_came = 0;
static_assert(std::atomic<int>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free);

int64_t now_in_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void on_signal(int signal) {
  if (g_signal == 0) {
    g_came = now_in_ms();
    g_signal = signal;
  } else if (now_in_ms() - g_came > 1000) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

StopSignal::StopSignal() {
  g_signal = 0;
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

StopSignal::~StopSignal() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

int StopSignal::received() { return g_signal; }

}  // namespace codmoe::engine
