// SPDX-License-Identifier: Apache-2.0
//
// Which backend a worker gets. Whether there is io_uring is found by trying, not by the kernel's
// version: containers forbid it on kernels that have it.
#pragma once

#include <memory>
#include <string>

#include "io/loop.h"

namespace weir::io {

enum class Backend : std::uint8_t { automatic, ring, epoll };

struct Selected {
  Backend backend = Backend::epoll;  ///< ring or epoll
  std::string why;                   ///< one line for the log
};

/// Start-up only: it waits. Fails when the ring was demanded and cannot be had.
Result<Selected> select_backend(Backend wanted);

/// "io_uring_setup: Operation not permitted".
std::string describe(const Error& error);

/// `backend` as selected: ring or epoll.
Result<std::unique_ptr<Io>> make_io(Backend backend, Loop& loop);

}  // namespace weir::io
