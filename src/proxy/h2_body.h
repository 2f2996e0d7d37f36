// SPDX-License-Identifier: Apache-2.0
//
// The bodies of one HTTP/2 stream (RFC 9113 sections 5.2 and 8.1). What comes is held within the
// stream's window, which opens again only as it is read: one slow stream holds at most its own
// window. What is sent is taken from the sender's memory when the connection has room for it.
#pragma once

#include <memory>
#include <vector>

#include "http/h2_head.h"
#include "io/notice.h"
#include "proxy/body.h"
#include "proxy/h1_body.h"

namespace weir::proxy {

/// The connection as its streams' bodies see it.
class H2Flow {
 public:
  /// `count` received bytes of the stream were read: its peer may send as many more.
  virtual void consumed(std::int32_t stream, std::size_t count) = 0;
  /// Makes the stream's window larger, at most twice as large. By how much: 0 when there is no
  /// room.
  virtual std::uint32_t widen(std::int32_t stream, std::uint32_t window) = 0;
  /// A stream that was widened by so much is gone.
  virtual void narrow(std::uint32_t by) = 0;
  /// The stream has something to send again.
  virtual void resume(std::int32_t stream) = 0;

 protected:
  ~H2Flow() = default;
};

class H2BodyReader final : public BodyReader {
 public:
  H2BodyReader(io::Loop& loop, H2Flow& flow, const BodyCauses& causes)
      : loop_(loop), flow_(flow), causes_(causes), notice_(loop) {}
  ~H2BodyReader() override;

  enum class Expect : std::uint8_t { nothing, body };
  void begin(std::int32_t stream, Expect expect, Millis stall);
  /// From now on the bytes are those of a tunnel.
  void begin_tunnel(Activity& activity, Millis idle);
  /// The peer may be silent as long as it takes what is sent to it: in a call of gRPC both sides
  /// speak when they have something to say. `moved`: when it last took something.
  void listen_beside(const Instant& moved) { other_moved_ = &moved; }
  /// What comes is held whatever the budget says: of a server, which is not out to use it up.
  void hold_all() { hold_all_ = true; }
  /// More than so many bytes are refused with `cause`. 0: no limit.
  void limit(std::uint64_t bytes, Cause cause) {
    limit_ = bytes;
    over_limit_ = cause;
  }

  // From the connection.
  /// False: there is no memory for them, or it has failed. What is not kept opens the window.
  [[nodiscard]] bool receive(Bytes bytes);
  void end() {
    ended_ = true;
    notice_.give();
  }
  /// Nothing more comes. A read that waits, and every later one, ends with `why`.
  void fail(Error why);
  /// Where the fields behind the body are put.
  http::FieldList& received_trailers();

  // BodyReader
  Task<Result<Piece>> read() override;
  [[nodiscard]] bool ready() const override {
    return complete_ || failed_ || ended_ || !waiting_.empty();
  }
  [[nodiscard]] bool complete() const override { return complete_; }
  [[nodiscard]] const http::FieldList& trailers() const override;
  [[nodiscard]] Millis stall() const override { return stall_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  /// How much of the body has come, read or not.
  [[nodiscard]] std::uint64_t came() const { return came_; }
  /// The peer has ended the body, read or not.
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void give_back();
  void widen();
  [[nodiscard]] bool make_room(std::size_t wanted);
  [[nodiscard]] Error meaning(const Error& error) const;

  io::Loop& loop_;
  H2Flow& flow_;
  BodyCauses causes_;
  io::Notice notice_;
  std::int32_t stream_ = 0;
  bool ended_ = true;
  bool complete_ = true;
  bool failed_ = false;
  bool hold_all_ = false;
  Cause over_limit_ = Cause::none;
  Error error_{};
  std::vector<io::Chunk> waiting_;
  io::Chunk current_;  // under the piece that was given last
  std::uint64_t received_ = 0;
  std::uint64_t came_ = 0;        // read or not
  std::uint64_t widened_at_ = 0;  // had come by then
  std::uint32_t window_ = kH2Window;
  std::uint64_t limit_ = 0;
  Millis stall_{0};
  Activity* activity_ = nullptr;
  const Instant* other_moved_ = nullptr;
  std::unique_ptr<http::FieldList> trailers_;  // most messages have none
};

class H2BodyWriter final : public BodyWriter {
 public:
  H2BodyWriter(io::Loop& loop, H2Flow& flow) : loop_(loop), flow_(flow), notice_(loop) {}

  void begin(std::int32_t stream, Millis stall);
  void begin_tunnel(Activity& activity, Millis idle);
  void rule_trailers(http::TrailerRules rules) { trailer_rules_ = std::move(rules); }

  // BodyWriter
  Task<Result<void>> write(Bytes bytes) override;
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override;
  /// The head was handed to the connection, which sends it in this turn.
  Task<Result<void>> flush() override { co_return Result<void>{}; }
  [[nodiscard]] Millis stall() const override { return stall_; }

  // To the connection.
  [[nodiscard]] Bytes waiting() const { return waiting_; }
  /// Nothing follows what waits. Never of one that gave up: what it had is not all.
  [[nodiscard]] bool last() const { return last_ && !failed_; }
  /// The fields behind the body; empty if there are none.
  [[nodiscard]] const http::H2Fields& trailers() const { return trailers_; }
  void took(std::size_t count);
  void sent_last();
  /// The stream takes nothing more: a write that waits, and every later one, ends with `why`.
  void fail(Error why);
  /// The message has no body: its head was its end.
  void complete_with_head() { complete_ = true; }

  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  /// When something was taken last.
  [[nodiscard]] const Instant& moved() const { return moved_; }

 private:
  [[nodiscard]] bool done() const { return failed_ || (last_ ? complete_ : waiting_.empty()); }
  Task<Result<void>> wait();

  io::Loop& loop_;
  H2Flow& flow_;
  io::Notice notice_;
  std::int32_t stream_ = 0;
  bool last_ = false;
  bool complete_ = false;
  bool failed_ = false;
  Error error_{};
  Bytes waiting_;
  std::uint64_t sent_ = 0;
  Instant moved_{};
  Millis stall_{0};
  Activity* activity_ = nullptr;
  http::TrailerRules trailer_rules_;
  http::H2Fields trailers_;
};

}  // namespace weir::proxy
