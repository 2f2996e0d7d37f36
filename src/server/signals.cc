// SPDX-License-Identifier: Apache-2.0
#include "server/signals.h"

#include <atomic>
#include <csignal>

namespace weir::server {
namespace {

struct Seen {
  std::atomic<int> stops{0};
  std::atomic<bool> reload{false};
  std::atomic<bool> reopen{false};
  std::atomic<io::Io*> waker{nullptr};
};
// tidy: allow mutable-static because a signal handler reaches nothing else
Seen seen;

void on_signal(int signal) {
  switch (signal) {
    case SIGHUP: seen.reload = true; break;
    case SIGUSR1: seen.reopen = true; break;
    default: ++seen.stops; break;
  }
  if (io::Io* io = seen.waker.load()) io->wake();  // one write(2)
}

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1};

void set_all(void (*handler)(int)) {
  struct sigaction action{};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace

void install_signals(io::Io& io) {
  seen.waker = &io;
  set_all(on_signal);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a log that may not grow is a log that cannot be written
}

SignalsSeen take_signals() {
  return {seen.stops.load(), seen.reload.exchange(false), seen.reopen.exchange(false)};
}

void uninstall_signals() {
  set_all(SIG_DFL);
  seen.waker = nullptr;
}

}  // namespace weir::server
