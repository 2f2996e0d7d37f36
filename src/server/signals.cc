// SPDX-License-Identifier: Apache-2.0
#include "server/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace weir::server {

Signals::Signals(io::Loop& loop, std::function<void(int)> on_signal)
    : loop_(loop), on_signal_(std::move(on_signal)) {
  readable_.signals = this;
  readable_.callback = [](io::Op& op) {
    Signals& self = *static_cast<Readable&>(op).signals;
    self.take();
    self.wait();
  };
}

Signals::~Signals() {
  if (source_ != nullptr) loop_.io().close(*source_);
}

Result<void> Signals::open() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a log that may not grow is a log that cannot be written
  const sigset_t set = control_signals();
  const int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return std::unexpected(os_error(errno, "signalfd"));
  blocked_.emplace();
  source_ = loop_.io().adopt(fd);
  wait();
  return {};
}

void Signals::wait() {
  while (loop_.io().start_readable(*source_, readable_)) take();
}

void Signals::take() {
  signalfd_siginfo seen{};
  while (::read(source_->fd, &seen, sizeof seen) == static_cast<ssize_t>(sizeof seen)) {
    on_signal_(static_cast<int>(seen.ssi_signo));
  }
  loop_.io().clear_readable(*source_);
}

}  // namespace weir::server
