#include "codmoe/engine/signals.h"

#include <atomic>
#include <csignal>

namespace codmoe::engine {

namespace {

// Atomic, since the kernel may run the handler on any thread; lock-free, since a handler may not take a lock.
std::atomic<int> g_signal = 0;
static_assert(std::atomic<int>::is_always_lock_free);

void on_signal(int signal) {
  g_signal = signal;
  std::signal(signal, SIG_DFL);
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
