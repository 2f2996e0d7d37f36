// SPDX-License-Identifier: Apache-2.0
//
// The bodies that origin serves, and the hash that it takes of those it is sent.
//
// Byte i of a body is kBlock[i mod kBlockSize]. The block's size is a prime, so that a piece of any
// power of two that is lost, doubled or moved changes the bytes. The hash is the CRC-32 of zlib
// (zlib.crc32 in Python, crc32 in many shells), printed with 8 hexadecimal digits.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir::bench {

constexpr std::size_t kBlockSize = 65521;

/// The bytes that every body repeats.
const std::array<char, kBlockSize>& block();

/// Points `pieces` to the bytes of a body from `at` on, as many of `left` as they have room for;
/// returns how many pieces it took.
std::size_t body_pieces(std::uint64_t at, std::uint64_t left, std::span<iovec> pieces);

/// Continues a CRC-32 over `bytes`; begins with 0.
std::uint32_t crc32(std::uint32_t crc, std::string_view bytes);

/// The CRC-32 of a served body of `size` bytes, in the time of a few blocks whatever the size.
std::uint32_t body_crc32(std::uint64_t size);

}  // namespace weir::bench
