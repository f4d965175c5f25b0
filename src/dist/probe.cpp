#include "probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

namespace codmoe::dist {

namespace {

constexpr std::chrono::milliseconds kPause{50};
constexpr timeval kPatience{.tv_sec = 2, .tv_usec = 0};  // with a host that is not there

bool takes_connection(const addrinfo& address) {
  const int socket = ::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC, address.ai_protocol);
  if (socket < 0) return false;
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  const bool taken = ::connect(socket, address.ai_addr, address.ai_addrlen) == 0;
  ::close(socket);
  return taken;
}

bool answers(const Place& place) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const auto port = std::to_string(place.master_port);
  if (::getaddrinfo(place.master_host.c_str(), port.c_str(), &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
  for (const auto* address = found; address != nullptr; address = address->ai_next) {
    if (takes_connection(*address)) return true;
  }
  return false;
}

}  // namespace

bool wait_for_answer(const Place& place, std::chrono::seconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!answers(place)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

}  // namespace codmoe::dist
