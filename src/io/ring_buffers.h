// SPDX-License-Identifier: Apache-2.0
//
// The buffers that the kernel fills for small receives: kRingBuffers blocks of the loop's
// ChunkPool. A filled block becomes the chunk of the receive, without a copy, and its slot gets a
// fresh block, as long as the pool's budget has room. So an idle connection holds no buffer, and
// what the kernel holds is small enough to stay in the cache.
#pragma once

#include <liburing.h>

#include <array>

#include "base/error.h"
#include "base/limits.h"
#include "io/chunk.h"

namespace weir::io {

class RingBuffers {
 public:
  explicit RingBuffers(ChunkPool& pool) : pool_(pool) {}
  RingBuffers(const RingBuffers&) = delete;
  RingBuffers& operator=(const RingBuffers&) = delete;
  /// The ring must have let go of its requests.
  ~RingBuffers();

  static constexpr unsigned short kGroup = 1;
  /// Registers the buffers with the ring.
  Result<void> open(io_uring* ring);
  /// Gives blocks to empty slots as the budget allows. False: the kernel has no buffer now.
  bool refill();
  /// The filled buffer of a completion.
  Chunk take(unsigned slot, std::size_t size);
  /// A buffer that came back unused.
  void put_back(unsigned slot);

 private:
  static constexpr unsigned kMask = kRingBuffers - 1;
  static_assert((kRingBuffers & kMask) == 0);
  void give(unsigned slot, int offset);

  ChunkPool& pool_;
  io_uring_buf_ring* shared_ = nullptr;
  std::array<char*, kRingBuffers> blocks_{};
  std::array<std::uint8_t, kRingBuffers> empty_{};  // slots without a block
  unsigned empty_count_ = 0;
};

}  // namespace weir::io
