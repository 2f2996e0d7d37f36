// SPDX-License-Identifier: Apache-2.0
#include "io/ring.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/limits.h"
#include "io/system_socket.h"

namespace weir::io {
namespace {

// The best first; a kernel that does not know a flag says EINVAL.
constexpr unsigned kSetups[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};
// Disabled at first: the thread that enables the ring is its single issuer, and that is the worker,
// not the thread that makes the worker.
constexpr unsigned kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
constexpr unsigned kFeatures = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP;

}  // namespace

Result<std::unique_ptr<Ring>> Ring::open() {
  int error = 0;
  for (const unsigned flags : kSetups) {
    std::unique_ptr<Ring> ring(new Ring);
    io_uring_params params{};
    params.flags = flags | kAlways;
    params.cq_entries = kRingEntries * 4;
    error = io_uring_queue_init_params(kRingEntries, &ring->ring_, &params);
    ring->opened_ = error == 0;
    if (ring->opened_ && (params.features & kFeatures) == kFeatures) return ring;
    if (ring->opened_) return fail(Code::os, "io_uring_setup", ENOSYS);
    if (error != -EINVAL) break;
  }
  return std::unexpected(os_error(-error, "io_uring_setup"));
}

void Ring::enable() {
  enabled_ = true;
  // The library as it is packaged does not export io_uring_enable_rings().
  const long error =
      syscall(SYS_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  WEIR_CHECK(error == 0);
  ignore(io_uring_register_ring_fd(&ring_), "saves a lookup per call where it is known");
}

io_uring_sqe& Ring::next(std::uint64_t user_data) {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  while (sqe == nullptr) {
    if (!enabled_) enable();
    const int submitted = io_uring_submit(&ring_);
    WEIR_CHECK(submitted >= 0 || submitted == -EBUSY || submitted == -EINTR ||
               submitted == -EAGAIN);
    sqe = io_uring_get_sqe(&ring_);
  }
  std::memset(sqe, 0, sizeof *sqe);
  sqe->user_data = user_data;
  return *sqe;
}

bool Ring::wait(Instant until) {
  if (!enabled_) enable();
  int result = 0;
  const Instant now = until == kNever ? Instant{} : monotonic_now();
  if (until == kNever) {
    result = io_uring_submit_and_wait(&ring_, 1);
  } else if (until <= now) {
    result = io_uring_submit_and_get_events(&ring_);
  } else {
    const std::int64_t left = (until - now).count();
    __kernel_timespec time{left / 1'000'000, (left % 1'000'000) * 1000};
    io_uring_cqe* cqe = nullptr;
    result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &time, nullptr);
  }
  return result != -EEXIST;
}

}  // namespace weir::io
