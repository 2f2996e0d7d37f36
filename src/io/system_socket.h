// SPDX-License-Identifier: Apache-2.0
//
// What the epoll and the io_uring backend share: the system calls on a socket that do not wait, and
// clocks.
#pragma once

#include <optional>

#include "io/io.h"

namespace weir::io {

enum class Blocking : std::uint8_t { no, yes };

/// CLOCK_MONOTONIC and CLOCK_REALTIME.
Instant monotonic_now();
WallTime wall_now();

/// TCP_NODELAY and keep-alive probes, which find a peer that vanished without a word; no effect on
/// unix sockets. Accepted sockets inherit them from their listener.
void prepare_stream(int fd);

/// One receive without waiting: nothing when there is nothing yet; an empty chunk at the end.
/// `drained` is set when less came than there was room for.
struct Received {
  Result<Chunk> result;
  bool drained = false;
};
std::optional<Received> receive_now(int fd, ChunkPool& pool, const RecvOp& op);

/// Sends what leaves without waiting and advances `op.pieces`. Nothing: more is left to send.
/// `moved` tells whether any byte left.
std::optional<Result<void>> send_now(int fd, SendOp& op, bool& moved);
/// See Io::try_send.
std::size_t try_send_now(int fd, Bytes bytes, SendOp::More more);

/// A socket for connecting to `target` and the result of connect(): a descriptor; `pending` when it
/// has to wait until it is writable.
Result<int> connect_now(const SocketAddress& target, Blocking blocking, bool& pending);
/// The outcome of a connect that was pending.
Result<void> connect_result(int fd);

/// accept4 without waiting: nothing when there is no connection.
std::optional<Result<int>> accept_now(int fd, Blocking blocking, Peer& peer);

/// Whether an accept failed for one connection only, so that the next may do.
bool transient_accept_error(int error);

/// SIOCOUTQ: bytes sent and not acknowledged by the peer.
std::uint64_t bytes_in_send_queue(int fd);

/// SO_LINGER with zero time.
void set_reset_on_close(int fd);

}  // namespace weir::io
