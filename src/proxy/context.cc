// SPDX-License-Identifier: Apache-2.0
#include "proxy/context.h"

#include <bit>
#include <cstring>
#include <utility>

namespace weir::proxy {
namespace {

constexpr std::size_t kTextsKept = 64;
constexpr std::size_t kTextRoom = 2_KiB;
constexpr std::size_t kTextKeptMax = 64_KiB;

}  // namespace

std::string TextPool::take() {
  if (free_.empty()) {
    std::string text;
    text.reserve(kTextRoom);
    return text;
  }
  std::string text = std::move(free_.back());
  free_.pop_back();
  return text;
}

void TextPool::give(std::string text) {
  if (free_.size() >= kTextsKept || text.capacity() > kTextKeptMax || text.capacity() < kTextRoom) {
    return;
  }
  text.clear();
  free_.push_back(std::move(text));
}

Random::Random(std::uint64_t seed) {
  // splitmix64, as xoshiro's authors advise for seeding.
  for (std::uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    std::uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

std::uint64_t Random::next() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

std::string_view Context::date() {
  const std::int64_t seconds = loop.wall_time().micros / 1'000'000;
  if (seconds != date_seconds_) {
    date_seconds_ = seconds;
    http::format_date(seconds, date_);
  }
  return {date_.data(), date_.size()};
}

Arena::~Arena() {
  while (blocks_ != nullptr) {
    Block* block = std::exchange(blocks_, blocks_->next);
    pool_free(block, block->size);
  }
}

char* Arena::allocate(std::size_t size) {
  if (used_ + size <= inline_.size()) {
    return inline_.data() + std::exchange(used_, used_ + size);
  }
  const std::size_t total = sizeof(Block) + size;
  auto* block = static_cast<Block*>(pool_allocate(total));
  block->next = blocks_;
  block->size = total;
  blocks_ = block;
  return reinterpret_cast<char*>(block + 1);
}

std::string_view Arena::copy(std::string_view text) { return join({text}); }

std::string_view Arena::join(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  char* const start = allocate(size);
  char* at = start;
  for (const std::string_view part : parts) {
    if (!part.empty()) std::memcpy(at, part.data(), part.size());
    at += part.size();
  }
  return {start, size};
}

}  // namespace weir::proxy
