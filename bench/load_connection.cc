// SPDX-License-Identifier: Apache-2.0
#include "load_connection.h"

#include <cerrno>

#include "sockets.h"

namespace weir::bench {

Opener::Opener(const Plan& plan, Generator& generator, const char* protocol)
    : plan_(plan), generator_(generator) {
  if (plan.security == Plan::Security::none) return;
  tls_ = Tls::client(protocol, plan.security == Plan::Security::resumed ? Tls::Tickets::use
                                                                        : Tls::Tickets::forget);
}

void Opener::open(Channel& channel, std::size_t connection) const {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  no_delay(fd);
  const auto* to = reinterpret_cast<const sockaddr*>(&plan_.to);
  if (connect(fd, to, sizeof plan_.to) != 0 && errno != EINPROGRESS) fail("connect");
  channel.open(fd);
  if (tls_) channel.secure(*tls_);
  generator_.watch(fd, connection);
}

Channel::Handshake Opener::handshake(Channel& channel) const {
  const Channel::Handshake state = channel.handshake();
  if (state != Channel::Handshake::done) return state;
  ++generator_.outcome().handshakes;
  if (channel.resumed()) ++generator_.outcome().resumed;
  return state;
}

}  // namespace weir::bench
