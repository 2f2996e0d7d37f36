// SPDX-License-Identifier: Apache-2.0
//
// A connection as the simulated clients and servers use it, with their own reading of HTTP/1:
// strict, simple, and not the code that it is to check.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/task.h"
#include "exchange.h"
#include "io/tcp_stream.h"

namespace weir::sim {

/// How a wait for bytes ended.
enum class Got : std::uint8_t { bytes, end, broken, stuck };

/// How the reading of a body ended.
enum class Body : std::uint8_t {
  whole,
  cut,   ///< the connection ended, properly or not, before the message did
  left,  ///< after as many bytes as were asked for
  malformed,
  foreign,  ///< these bytes belong to something else
  stuck,
};

std::string_view name(Got got);
std::string_view name(Body body);

struct Head {
  std::string first;                                        ///< the start line
  std::vector<std::pair<std::string, std::string>> fields;  ///< names in lower case
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
};

/// What takes the bytes of a body: a connection, or one stream of it.
class Sink {
 public:
  /// `last`: nothing follows, for those that tell the other end.
  enum class Last : std::uint8_t { no, yes };
  virtual Task<bool> put(std::string bytes, Last last) = 0;
  [[nodiscard]] virtual io::Loop& loop() = 0;

 protected:
  ~Sink() = default;
};

class Wire final : public Sink {
 public:
  Wire(io::Loop& loop, io::Socket* socket, Millis reads_every = Millis(0));
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  std::string in;              ///< arrived and not looked at
  std::string head_text;       ///< the last head
  std::size_t server = 0;      ///< whose connection it is
  bool crashed = false;        ///< and that one is no more
  std::uint64_t received = 0;  ///< bytes, with those in `in`
  std::uint64_t handed = 0;    ///< bytes that were given to be sent
  io::TcpStream stream;
  Millis patience;  ///< longer than all that the proxy may do in its own time

  Task<Got> more();
  Task<bool> send(std::string bytes);
  Task<bool> put(std::string bytes, Last last) override;
  [[nodiscard]] io::Loop& loop() override { return stream.loop(); }
  Task<Got> read_head(Head& head);
  /// Reads until the end of the message, or `stop_at` bytes. `size` is for Framing::known.
  /// Told to `seen`, unless that is nullptr.
  Task<Body> read_body(Framing framing, std::size_t size, Check& check, std::uint64_t stop_at,
                       Seen* seen = nullptr);
  /// Waits until what was sent has arrived at the other end: of a socket that is closed before, a
  /// kernel that is short of memory sends a reset instead.
  Task<> settle();
  /// What the network knows; nullptr: it is a real one.
  std::shared_ptr<io::SimConnection> connection();
  /// Of the end that connected, as the other one sees it.
  std::string own_ip();
  /// Nothing more has arrived or is on its way to here, as far as that can be known.
  [[nodiscard]] bool quiet();
  [[nodiscard]] bool broken();

 private:
  [[nodiscard]] const io::SimEnd* simulated();
  Task<Got> read_line(std::string& line);
  Task<Body> read_any(Framing framing, std::size_t size, Check& check, std::uint64_t stop_at);
  Task<Body> read_run(std::uint64_t size, Check& check, std::uint64_t stop_at);
  Task<Body> read_chunks(Check& check, std::uint64_t stop_at);

  Millis reads_every_;
  std::string trailers_;
};

/// Waits on the virtual clock; on a real network for a turn of the loop only.
Task<> pass(io::Loop& loop, Millis time);

std::optional<std::uint64_t> number(std::string_view text, int base = 10);
/// The id in "/x/ID".
std::optional<std::uint64_t> id_of(std::string_view target);
/// Content-Length and Transfer-Encoding as a framing; nothing when they contradict each other.
std::optional<std::pair<Framing, std::size_t>> framing_of(const Head& head, Framing otherwise);

}  // namespace weir::sim
