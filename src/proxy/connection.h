// SPDX-License-Identifier: Apache-2.0
//
// A client's connection as its worker sees it, whatever it speaks: HTTP/1 (H1Server), HTTP/2
// (H2Server), plain TCP (TcpSession), or what comes before (Preamble, TlsAccept). Listed by its
// worker, which ends when the list is empty.
#pragma once

#include "async/frame_pool.h"
#include "base/error.h"
#include "base/list.h"
#include "base/time.h"

namespace weir::proxy {

class Connection : public ListNode<Connection>, public Pooled {
 public:
  virtual ~Connection() = default;
  /// Serves in coroutines of the context's scope, which exist while there is something to do, and
  /// deletes this when the connection has ended, which may be at once.
  virtual void start() = 0;
  /// No further requests after what is under way.
  virtual void drain() = 0;
  /// Ends it now; it is gone soon.
  virtual void abort(Error why) = 0;
  /// Waits for its next request: may be closed when descriptors or memory run out.
  [[nodiscard]] virtual bool idle() const = 0;
  /// How long its client, or the server behind it, has taken nothing of the bytes that wait for it;
  /// zero when none wait. Costs system calls.
  [[nodiscard]] virtual Micros stall() const = 0;
};

}  // namespace weir::proxy
