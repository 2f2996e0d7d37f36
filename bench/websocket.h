// SPDX-License-Identifier: Apache-2.0
//
// The few bytes of RFC 6455 that an echo over a proxy needs. Client and server know one key only,
// that of the RFC's example, and messages are single frames of less than 126 bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::bench {

constexpr std::string_view kWebSocketKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kWebSocketAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::size_t kFrameMax = 125;
constexpr std::size_t kClientFrameHead = 6;  // two bytes and the mask
constexpr std::size_t kServerFrameHead = 2;

/// A client's frame of `size` bytes. The mask is 0, which is as good as any other between programs
/// that trust each other.
inline std::string client_frame(std::size_t size) {
  std::string frame{'\x82', static_cast<char>(0x80 | size), 0, 0, 0, 0};
  return frame.append(size, 'w');
}

/// Appends to `out` what a server answers to the whole frames at the front of `bytes`; returns the
/// size of these.
inline std::size_t echo_frames(std::string_view bytes, std::string& out) {
  std::size_t used = 0;
  for (;;) {
    const std::string_view rest = bytes.substr(used);
    if (rest.size() < kClientFrameHead) return used;
    const std::size_t size = static_cast<unsigned char>(rest[1]) & 0x7fU;
    if (rest.size() < kClientFrameHead + size) return used;
    out += '\x82';
    out += static_cast<char>(size);
    for (std::size_t i = 0; i < size; ++i) {
      out += static_cast<char>(rest[kClientFrameHead + i] ^ rest[2 + i % 4]);
    }
    used += kClientFrameHead + size;
  }
}

}  // namespace weir::bench
