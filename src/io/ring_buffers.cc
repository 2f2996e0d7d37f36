// SPDX-License-Identifier: Apache-2.0
#include "io/ring_buffers.h"

#include <cstdlib>

namespace weir::io {

static_assert(kRingBuffers <= 256);

Result<void> RingBuffers::open(io_uring* ring) {
  const std::size_t bytes = kRingBuffers * sizeof(io_uring_buf);
  shared_ = static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
  WEIR_CHECK(shared_ != nullptr);
  io_uring_buf_ring_init(shared_);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(shared_);
  registration.ring_entries = kRingBuffers;
  registration.bgid = kGroup;
  const int error = io_uring_register_buf_ring(ring, &registration, 0);
  if (error != 0) return std::unexpected(os_error(-error, "io_uring_register_buf_ring"));
  for (unsigned slot = 0; slot < kRingBuffers; ++slot) {
    blocks_[slot] = pool_.take_block();
    give(slot, static_cast<int>(slot));
  }
  io_uring_buf_ring_advance(shared_, static_cast<int>(kRingBuffers));
  return {};
}

RingBuffers::~RingBuffers() {
  for (char* block : blocks_) {
    if (block != nullptr) pool_.return_block(block);
  }
  std::free(shared_);
}

void RingBuffers::give(unsigned slot, int offset) {
  WEIR_ASSERT(blocks_[slot] != nullptr);
  io_uring_buf_ring_add(shared_, blocks_[slot], ChunkPool::kBlockSize,
                        static_cast<unsigned short>(slot), static_cast<int>(kMask), offset);
}

bool RingBuffers::refill() {
  int given = 0;
  // What is lent counts here as if it were used: it may all be, by new work.
  const auto lent = [this] { return kRingBuffers - empty_count_; };
  while (empty_count_ > 0 && pool_.has_room(ChunkPool::kBlockSize * (lent() + 1), Work::fresh)) {
    const unsigned slot = empty_[--empty_count_];
    blocks_[slot] = pool_.take_block();
    give(slot, given++);
  }
  if (given > 0) io_uring_buf_ring_advance(shared_, given);
  return empty_count_ < kRingBuffers;
}

Chunk RingBuffers::take(unsigned slot, std::size_t size) {
  WEIR_ASSERT(slot < kRingBuffers);
  WEIR_ASSERT(blocks_[slot] != nullptr);
  Chunk chunk = pool_.into_chunk(std::exchange(blocks_[slot], nullptr), size);
  empty_[empty_count_++] = static_cast<std::uint8_t>(slot);
  refill();
  return chunk;
}

void RingBuffers::put_back(unsigned slot) {
  WEIR_ASSERT(slot < kRingBuffers);
  give(slot, 0);
  io_uring_buf_ring_advance(shared_, 1);
}

}  // namespace weir::io
