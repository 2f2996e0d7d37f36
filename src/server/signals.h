// SPDX-License-Identifier: Apache-2.0
//
// Signals of the process, as flags that the control loop looks at. One per process.
#pragma once

#include "io/io.h"

namespace weir::server {

struct SignalsSeen {
  int stops = 0;        ///< TERM, INT, QUIT so far
  bool reload = false;  ///< HUP since the last look
  bool reopen = false;  ///< USR1 since the last look
};

/// Installs handlers that wake `io`; SIGPIPE is ignored. Threads that are started afterwards share
/// them. `io` outlives the process's signals.
void install_signals(io::Io& io);
SignalsSeen take_signals();
/// Back to the default actions; before `io` goes away.
void uninstall_signals();

}  // namespace weir::server
