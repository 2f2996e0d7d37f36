// SPDX-License-Identifier: Apache-2.0
//
// One io_uring: set up with what the kernel offers, and one system call per turn that submits what
// was queued and waits. Used by the thread that first waits on it only
// (IORING_SETUP_SINGLE_ISSUER).
#pragma once

#include <liburing.h>

#include <memory>

#include "base/error.h"
#include "base/time.h"

namespace weir::io {

class Ring {
 public:
  /// Fails when the kernel, or who confines us, forbids it.
  static Result<std::unique_ptr<Ring>> open();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() {
    if (opened_) io_uring_queue_exit(&ring_);
  }

  /// The next submission entry, cleared, with this user data; submits when the queue is full.
  io_uring_sqe& next(std::uint64_t user_data);
  /// Submits, and waits for a completion, until `until` at the latest. False: another thread owns
  /// it.
  bool wait(Instant until);
  /// Calls visit(const io_uring_cqe&) for each completion that is there.
  template <class F>
  void reap(F&& visit) {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      visit(static_cast<const io_uring_cqe&>(*cqe));
      ++count;
    }
    io_uring_cq_advance(&ring_, count);
  }
  io_uring* get() { return &ring_; }

 private:
  Ring() = default;
  void enable();

  io_uring ring_{};
  bool opened_ = false;
  bool enabled_ = false;
};

}  // namespace weir::io
