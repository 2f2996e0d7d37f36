// SPDX-License-Identifier: Apache-2.0
//
// The signals that tell a process what to do are the main thread's business. A thread takes over
// the mask of whoever starts it, so each thread is started inside a SignalsBlocked.
#pragma once

#include <csignal>
#include <initializer_list>

namespace weir {

/// Those that stop Weir, make it reload or make it open its logs again.
inline sigset_t control_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

/// While it lives, the calling thread does not take the control signals.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    const sigset_t set = control_signals();
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace weir
