// SPDX-License-Identifier: Apache-2.0
#include "tls/client_hello.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/limits.h"

namespace weir::tls {
namespace {

constexpr std::size_t kRecordHead = 5;
constexpr std::size_t kRecordMax = 16'384;  // RFC 8446 section 5.1
constexpr std::size_t kMessageHead = 4;
constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr unsigned kServerName = 0;
constexpr unsigned kAlpn = 16;
constexpr unsigned kHostName = 0;
constexpr std::size_t kNameMax = 255;

std::unexpected<Error> none() { return fail(Cause::client_hello_missing, "ClientHello"); }

/// The presentation language of RFC 8446 section 3: numbers, and vectors with their length before
/// them. After a read beyond the end everything is empty and good() is false.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  Bytes take(std::size_t count) {
    if (count > rest_.size()) {
      good_ = false;
      rest_ = {};
      return {};
    }
    const Bytes taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  /// A number of `size` bytes.
  unsigned number(std::size_t size) {
    unsigned value = 0;
    for (const char c : take(size)) value = value << 8 | static_cast<std::uint8_t>(c);
    return value;
  }
  /// A vector of at least `least` bytes whose length is a number of `size` bytes.
  Bytes vector(std::size_t size, std::size_t least) {
    const std::size_t count = number(size);
    if (count < least) good_ = false;
    return take(count);
  }
  void refuse() { good_ = false; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  [[nodiscard]] bool good() const { return good_; }
  /// Nothing was missing and nothing is left.
  [[nodiscard]] bool whole() const { return good_ && rest_.empty(); }

 private:
  Bytes rest_;
  bool good_ = true;
};

/// The records of one handshake message, without their heads. Views of `bytes`.
class Records {
 public:
  explicit Records(Bytes bytes) : rest_(bytes) {}

  enum class Step : std::uint8_t { piece, more, wrong };
  /// The next record's bytes, as far as they are there.
  Step next(Bytes& piece) {
    if (!rest_.empty() && static_cast<std::uint8_t>(rest_[0]) != kHandshake) return Step::wrong;
    // Every version says 3 here, and of the second byte nothing is to be concluded.
    if (rest_.size() > 1 && rest_[1] != 3) return Step::wrong;
    if (rest_.size() < kRecordHead) return Step::more;
    const std::size_t size = Reader(rest_.substr(3)).number(2);
    // RFC 8446 section 5.1: no empty fragments of handshake messages.
    if (size == 0 || size > kRecordMax) return Step::wrong;
    piece = rest_.substr(kRecordHead, size);
    whole_ = piece.size() == size;
    rest_.remove_prefix(std::min(kRecordHead + size, rest_.size()));
    return piece.empty() ? Step::more : Step::piece;
  }
  /// The record of the last piece is here to its end.
  [[nodiscard]] bool whole() const { return whole_; }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }

 private:
  Bytes rest_;
  bool whole_ = false;
};

bool is_name(std::string_view name) {
  return name.size() <= kNameMax &&
         std::ranges::all_of(name, [](char c) { return c > 0x20 && c < 0x7f; });
}

/// RFC 6066 section 3: "MUST NOT contain more than one name of the same name_type".
bool read_server_name(Bytes data, ClientHello& hello) {
  Reader extension(data);
  Reader names(extension.vector(2, 1));
  if (!extension.whole()) return false;
  while (!names.empty()) {
    const unsigned type = names.number(1);
    const Bytes name = names.vector(2, 1);
    if (type != kHostName) continue;
    if (!hello.name.empty() || !is_name(name)) return false;
    hello.name = name;
    std::ranges::transform(hello.name, hello.name.begin(), ascii_lower);
  }
  return names.good();
}

bool read_alpn(Bytes data, ClientHello& hello) {
  Reader extension(data);
  const Bytes list = extension.vector(2, 2);
  if (!extension.whole()) return false;
  Reader names(list);
  while (!names.empty()) names.vector(1, 1);
  hello.protocols = list;
  return names.good();
}

/// The message without its head.
bool read_message(Bytes message, ClientHello& hello) {
  Reader body(message);
  body.take(2 + 32);  // version and random
  if (body.vector(1, 0).size() > 32) body.refuse();
  if (body.vector(2, 2).size() % 2 != 0) body.refuse();
  body.vector(1, 1);  // compression methods
  if (!body.good()) return false;
  if (body.empty()) return true;  // RFC 5246 section 7.4.1.2: without extensions
  Reader extensions(body.vector(2, 0));
  if (!body.whole()) return false;
  bool named = false, listed = false;
  while (!extensions.empty()) {
    const unsigned type = extensions.number(2);
    const Bytes data = extensions.vector(2, 0);
    if (!extensions.good()) return false;
    // RFC 8446 section 4.2: each once. Of two names the server might take the other one.
    if (type == kServerName) {
      if (std::exchange(named, true) || !read_server_name(data, hello)) return false;
    } else if (type == kAlpn) {
      if (std::exchange(listed, true) || !read_alpn(data, hello)) return false;
    }
  }
  return true;
}

}  // namespace

bool ClientHello::offers(std::string_view protocol) const {
  Reader names(protocols);
  while (!names.empty()) {
    if (names.vector(1, 1) == protocol) return true;
  }
  return false;
}

Result<std::size_t> parse_client_hello(Bytes bytes, ClientHello& hello) {
  hello = {};
  const bool too_long = bytes.size() >= kClientHelloMax;
  bytes = bytes.substr(0, kClientHelloMax);
  Records records(bytes);
  std::string gathered;  // when it is in several records
  Bytes message;
  for (;;) {
    Bytes piece;
    const Records::Step step = records.next(piece);
    if (step == Records::Step::wrong) return none();
    if (step == Records::Step::more) break;
    if (message.empty()) {
      message = piece;
    } else {
      if (gathered.empty()) gathered = message;
      message = gathered += piece;
    }
    if (static_cast<std::uint8_t>(message[0]) != kClientHello) return none();
    if (message.size() >= kMessageHead) {
      const std::size_t size = kMessageHead + Reader(message.substr(1)).number(3);
      if (size > kClientHelloMax || message.size() > size) return none();
      if (message.size() == size && records.whole()) {
        if (!read_message(message.substr(kMessageHead), hello)) return none();
        return bytes.size() - records.left();
      }
    }
    if (!records.whole()) break;
  }
  if (too_long) return none();
  return 0;
}

}  // namespace weir::tls
