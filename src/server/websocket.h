// SPDX-License-Identifier: Apache-2.0
//
// The server's side of WebSocket, RFC 6455, without I/O: what the demo's origin needs to echo. Weir
// as a proxy does not look into WebSockets; they are tunnels to it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace weir::server {

inline constexpr std::size_t kWebSocketMessageMax = 1_MiB;

enum class WebSocketOpcode : std::uint8_t {
  continuation = 0,
  text = 1,
  binary = 2,
  close = 8,
  ping = 9,
  pong = 10,
};

// Close codes, section 7.4.1.
inline constexpr std::uint16_t kCloseNormal = 1000;
inline constexpr std::uint16_t kCloseGoingAway = 1001;
inline constexpr std::uint16_t kCloseProtocolError = 1002;
inline constexpr std::uint16_t kCloseNoCode =
    1005;  ///< never sent: the peer's close frame had none
inline constexpr std::uint16_t kCloseNotText = 1007;
inline constexpr std::uint16_t kCloseTooBig = 1009;

struct WebSocketEvent {
  enum class Kind : std::uint8_t {
    message,  ///< complete, unmasked, joined from its fragments
    ping,     ///< to be answered with a pong of the same payload
    pong,
    close,   ///< the peer closes with `close_code`; to be answered with a close, then end
    failed,  ///< the peer broke the protocol: send a close with `close_code`, then end
  };
  Kind kind = Kind::message;
  WebSocketOpcode opcode = WebSocketOpcode::text;  ///< of a message: text or binary
  std::uint16_t close_code = 0;
  std::string_view payload;  ///< valid until the next call of next()
};

/// Decodes what a client sends. Holds at most one message and one control frame. After `close` or
/// `failed` there are no more events.
class WebSocketReader final {
 public:
  /// Takes bytes off the front of `input` until there is an event; nothing: all of it was taken and
  /// more is needed.
  std::optional<WebSocketEvent> next(std::string_view& input);

 private:
  enum class State : std::uint8_t { header, payload, ended };

  std::optional<WebSocketEvent> take_header(std::string_view& input);
  std::optional<WebSocketEvent> take_payload(std::string_view& input);
  std::optional<std::uint16_t> begin_frame();
  std::optional<WebSocketEvent> end_frame();
  WebSocketEvent end_control();
  WebSocketEvent end_close();
  WebSocketEvent fail(std::uint16_t close_code);
  [[nodiscard]] bool is_control() const { return (opcode_ & 8U) != 0; }
  [[nodiscard]] std::size_t header_size() const;
  [[nodiscard]] std::uint64_t payload_size() const;

  State state_ = State::header;
  std::array<unsigned char, 14> header_{};
  std::size_t header_filled_ = 0;
  std::uint8_t opcode_ = 0;  // of the frame
  bool fin_ = false;         // of the frame
  std::array<unsigned char, 4> mask_{};
  std::uint64_t size_ = 0;                         // of the frame's payload
  std::uint64_t taken_ = 0;                        // of it
  std::optional<WebSocketOpcode> message_opcode_;  // while a message is incomplete
  bool message_done_ = false;                      // given out; cleared by the next call
  std::string message_;
  std::string control_;
};

/// Appends one unmasked frame, as a server sends it.
void append_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload);
/// Appends a close frame; kCloseNoCode: without a code. The reason is cut to what fits.
void append_close(std::string& out, std::uint16_t code, std::string_view reason = {});

}  // namespace weir::server
