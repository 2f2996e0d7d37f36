// SPDX-License-Identifier: Apache-2.0
//
// Which backend a worker gets. Decided at start by trying, not by the kernel's version: containers
// forbid io_uring on kernels that have it.
#pragma once

#include <memory>
#include <string>

#include "io/loop.h"

namespace weir::io {

enum class Backend : std::uint8_t { automatic, ring, epoll };

/// What Backend::automatic tries first. With Backend::epoll it never tries the ring.
inline constexpr Backend kAutomaticFirst = Backend::ring;

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
