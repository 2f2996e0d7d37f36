// SPDX-License-Identifier: Apache-2.0
#include "io/select_backend.h"

#include <cstring>

#include "io/epoll_io.h"
#include "io/ring_io.h"

namespace weir::io {

Result<Selected> select_backend(Backend wanted) {
  switch (wanted) {
    case Backend::automatic: return Selected{Backend::epoll, "using epoll, the default"};
    case Backend::epoll: return Selected{Backend::epoll, "using epoll, as configured"};
    case Backend::ring: break;
  }
  if (const Result<void> tested = ring_self_test(); !tested) return fail(tested.error());
  return Selected{Backend::ring, "using io_uring, as configured"};
}

std::string describe(const Error& error) {
  std::string text = error.where == nullptr ? "unknown" : error.where;
  text += ": ";
  text += error.os_errno != 0 ? std::strerror(error.os_errno) : std::string(name(error.code));
  return text;
}

Result<std::unique_ptr<Io>> make_io(Backend backend, Loop& loop) {
  switch (backend) {
    case Backend::ring: return make_ring_io(loop);
    case Backend::epoll: return make_epoll_io(loop);
    case Backend::automatic: break;
  }
  WEIR_UNREACHABLE("select_backend() decides");
}

}  // namespace weir::io
