#include "local_store.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "codmoe/core/error.h"

namespace codmoe::dist {

namespace {

sockaddr* as_general(sockaddr_in& address) { return reinterpret_cast<sockaddr*>(&address); }

void check(int result) {
  if (result == 0) return;
  throw core::Error(fmt::format("no local port for the ranks' store: {}", std::generic_category().message(errno)));
}

/// A bound socket at a free port of the loopback device.
int bound_socket(sockaddr_in& address) {
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(socket < 0 ? -1 : 0);
  check(::bind(socket, as_general(address), size));
  check(::getsockname(socket, as_general(address), &size));
  return socket;
}

}  // namespace

c10::intrusive_ptr<c10d::TCPStore> serve_local_store() {
  sockaddr_in address{};
  c10d::TCPStoreOptions options;
  options.masterListenFd = bound_socket(address);  // the server closes it
  options.port = ntohs(address.sin_port);
  options.isServer = true;
  return c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
}

}  // namespace codmoe::dist
