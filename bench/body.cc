// SPDX-License-Identifier: Apache-2.0
#include "body.h"

#include <algorithm>
#include <cstring>

namespace weir::bench {
namespace {

constexpr std::array<char, kBlockSize> make_block() {
  std::array<char, kBlockSize> bytes{};
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (char& byte : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    byte = static_cast<char>(state >> 32);
  }
  return bytes;
}

using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr CrcTables make_tables() {
  CrcTables tables{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xedb88320 : 0);
    tables[0][i] = value;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t i = 0; i < 256; ++i) {
      const std::uint32_t before = tables[k - 1][i];
      tables[k][i] = (before >> 8) ^ tables[0][before & 255];
    }
  }
  return tables;
}

constexpr CrcTables kTables = make_tables();

/// What a run of bytes does to any CRC: an affine map over bits, hence one word and 32 differences.
struct CrcMap {
  std::uint32_t of_zero = 0;
  std::array<std::uint32_t, 32> of_bit{};

  [[nodiscard]] std::uint32_t apply(std::uint32_t crc) const {
    std::uint32_t result = of_zero;
    for (std::size_t bit = 0; bit < 32; ++bit) result ^= (crc >> bit & 1) != 0 ? of_bit[bit] : 0;
    return result;
  }
  [[nodiscard]] CrcMap twice() const {
    CrcMap map{apply(of_zero), {}};
    for (std::size_t bit = 0; bit < 32; ++bit) {
      map.of_bit[bit] = apply(apply(std::uint32_t{1} << bit)) ^ map.of_zero;
    }
    return map;
  }
};

CrcMap map_of(std::string_view bytes) {
  CrcMap map{crc32(0, bytes), {}};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    map.of_bit[bit] = crc32(std::uint32_t{1} << bit, bytes) ^ map.of_zero;
  }
  return map;
}

}  // namespace

const std::array<char, kBlockSize>& block() {
  static const auto kBlock = make_block();
  return kBlock;
}

std::size_t body_pieces(std::uint64_t at, std::uint64_t left, std::span<iovec> pieces) {
  std::size_t count = 0;
  for (std::size_t from = at % kBlockSize; left > 0 && count < pieces.size(); from = 0) {
    const auto size = std::min<std::uint64_t>(left, kBlockSize - from);
    pieces[count++] = {const_cast<char*>(block().data()) + from, size};
    left -= size;
  }
  return count;
}

std::uint32_t crc32(std::uint32_t crc, std::string_view bytes) {
  crc = ~crc;
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    word ^= crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= kTables[7 - i][word >> (8 * i) & 255];
    bytes.remove_prefix(8);
  }
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTables[0][(crc ^ static_cast<unsigned char>(byte)) & 255];
  }
  return ~crc;
}

std::uint32_t body_crc32(std::uint64_t size) {
  const std::string_view whole(block().data(), kBlockSize);
  std::uint32_t crc = 0;
  CrcMap map = map_of(whole);
  for (std::uint64_t blocks = size / kBlockSize; blocks != 0; blocks >>= 1) {
    if ((blocks & 1) != 0) crc = map.apply(crc);
    map = map.twice();
  }
  return crc32(crc, whole.substr(0, size % kBlockSize));
}

}  // namespace weir::bench
