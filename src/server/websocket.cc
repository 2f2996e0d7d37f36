// SPDX-License-Identifier: Apache-2.0
#include "server/websocket.h"

#include <algorithm>

#include "base/assert.h"
#include "base/utf8.h"

namespace weir::server {
namespace {

constexpr std::size_t kControlMax = 125;  // section 5.5

bool known_opcode(std::uint8_t opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

/// Codes that may stand in a close frame. Section 7.4.
bool sendable(std::uint16_t code) {
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
         (code >= 3000 && code <= 4999);
}

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
    out += static_cast<char>((value >> shift) & 0xFF);
  }
}

}  // namespace

std::optional<WebSocketEvent> WebSocketReader::next(std::string_view& input) {
  if (message_done_) {
    message_.clear();
    message_done_ = false;
  }
  while (true) {
    if (state_ == State::ended) {
      input = {};
      return std::nullopt;
    }
    const std::size_t before = input.size();
    const State was = state_;
    const auto event = state_ == State::header ? take_header(input) : take_payload(input);
    if (event) return event;
    if (input.size() == before && state_ == was) return std::nullopt;
  }
}

std::size_t WebSocketReader::header_size() const {
  if (header_filled_ < 2) return 2;
  const unsigned length = header_[1] & 0x7FU;
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  const std::size_t mask = (header_[1] & 0x80U) != 0 ? 4 : 0;
  return 2 + extended + mask;
}

std::uint64_t WebSocketReader::payload_size() const {
  const unsigned length = header_[1] & 0x7FU;
  if (length < 126) return length;
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < (length == 126 ? 2U : 8U); ++i) size = size << 8 | header_[2 + i];
  return size;
}

std::optional<WebSocketEvent> WebSocketReader::take_header(std::string_view& input) {
  while (header_filled_ < header_size() && !input.empty()) {
    header_[header_filled_++] = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
  }
  if (header_filled_ < header_size()) return std::nullopt;
  if (const auto code = begin_frame()) return fail(*code);
  return std::nullopt;
}

/// The header is complete. Returns the close code if it is not acceptable.
std::optional<std::uint16_t> WebSocketReader::begin_frame() {
  fin_ = (header_[0] & 0x80U) != 0;
  opcode_ = header_[0] & 0x0FU;
  size_ = payload_size();
  taken_ = 0;
  const unsigned length = header_[1] & 0x7FU;
  const bool masked = (header_[1] & 0x80U) != 0;
  const bool reserved = (header_[0] & 0x70U) != 0;
  // Section 5.1: a client masks. Section 5.2: no extension was agreed on, lengths are minimal.
  if (!masked || reserved || !known_opcode(opcode_)) return kCloseProtocolError;
  if ((length == 126 && size_ < 126) || (length == 127 && size_ < 65'536)) {
    return kCloseProtocolError;
  }
  if (is_control()) {
    if (!fin_ || size_ > kControlMax) return kCloseProtocolError;
    control_.clear();
  } else {
    const bool continues = opcode_ == 0;
    if (continues != message_opcode_.has_value()) return kCloseProtocolError;
    if (!continues) message_opcode_ = static_cast<WebSocketOpcode>(opcode_);
    if (size_ > kWebSocketMessageMax - message_.size()) return kCloseTooBig;
  }
  std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(header_size() - 4), 4, mask_.begin());
  header_filled_ = 0;
  state_ = State::payload;
  return std::nullopt;
}

std::optional<WebSocketEvent> WebSocketReader::take_payload(std::string_view& input) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(size_ - taken_, input.size()));
  std::string& into = is_control() ? control_ : message_;
  for (std::size_t i = 0; i < size; ++i) {
    into += static_cast<char>(static_cast<unsigned char>(input[i]) ^ mask_[(taken_ + i) & 3]);
  }
  input.remove_prefix(size);
  taken_ += size;
  if (taken_ < size_) return std::nullopt;
  state_ = State::header;
  return end_frame();
}

std::optional<WebSocketEvent> WebSocketReader::end_frame() {
  if (is_control()) return end_control();
  if (!fin_) return std::nullopt;
  WEIR_ASSERT(message_opcode_.has_value());
  const WebSocketOpcode opcode = *message_opcode_;
  message_opcode_.reset();
  message_done_ = true;
  if (opcode == WebSocketOpcode::text && !is_utf8(message_)) return fail(kCloseNotText);
  return WebSocketEvent{.opcode = opcode, .payload = message_};
}

WebSocketEvent WebSocketReader::end_control() {
  const auto opcode = static_cast<WebSocketOpcode>(opcode_);
  if (opcode == WebSocketOpcode::close) return end_close();
  const auto kind =
      opcode == WebSocketOpcode::ping ? WebSocketEvent::Kind::ping : WebSocketEvent::Kind::pong;
  return {.kind = kind, .opcode = opcode, .payload = control_};
}

WebSocketEvent WebSocketReader::end_close() {
  state_ = State::ended;
  WebSocketEvent event{.kind = WebSocketEvent::Kind::close,
                       .opcode = WebSocketOpcode::close,
                       .close_code = kCloseNoCode,
                       .payload = {}};
  if (control_.empty()) return event;
  if (control_.size() == 1) return fail(kCloseProtocolError);
  event.close_code = static_cast<std::uint16_t>(static_cast<unsigned char>(control_[0]) << 8 |
                                                static_cast<unsigned char>(control_[1]));
  event.payload = std::string_view(control_).substr(2);
  if (!sendable(event.close_code)) return fail(kCloseProtocolError);
  if (!is_utf8(event.payload)) return fail(kCloseNotText);
  return event;
}

WebSocketEvent WebSocketReader::fail(std::uint16_t close_code) {
  state_ = State::ended;
  return {.kind = WebSocketEvent::Kind::failed, .close_code = close_code, .payload = {}};
}

void append_frame(std::string& out, WebSocketOpcode opcode, std::string_view payload) {
  out += static_cast<char>(0x80U | static_cast<unsigned>(opcode));
  if (payload.size() < 126) {
    out += static_cast<char>(payload.size());
  } else if (payload.size() < 65'536) {
    out += static_cast<char>(126);
    append_big_endian(out, payload.size(), 2);
  } else {
    out += static_cast<char>(127);
    append_big_endian(out, payload.size(), 8);
  }
  out += payload;
}

void append_close(std::string& out, std::uint16_t code, std::string_view reason) {
  std::string payload;
  if (code != kCloseNoCode) {
    append_big_endian(payload, code, 2);
    payload += reason.substr(0, kControlMax - 2);
  }
  append_frame(out, WebSocketOpcode::close, payload);
}

}  // namespace weir::server
