// SPDX-License-Identifier: Apache-2.0
//
// TLS as a byte stream over a byte stream. OpenSSL makes the handshake (handshake.h) and is gone
// then; the records are opened and sealed between our own chunks (records.h). What arrives is
// received into a chunk and decrypted into the chunk of the receive that waits for it; what is sent
// is encrypted, several records at once, into one chunk that leaves with one send. A stream that
// waits holds its keys and nothing else.
//
// A close_notify is the peer's proper end. A connection that ends without one is an error,
// Code::closed: between messages nobody minds, but a body that ends with its connection, or a
// tunnel, may have been cut by somebody in between. RFC 8446 section 6.1.
//
// A handshake computes for long, so its steps go by the loop's `heavy` queue, one in a turn.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "io/stream.h"
#include "tls/handshake.h"
#include "tls/records.h"

namespace weir::tls {

class Context;
struct KnownServer;

/// Error::where of a handshake that took too long.
inline constexpr char kHandshakeTimedOut[] = "in the TLS handshake";

/// Owned by whoever owns the connection, and gone before the stream below. Only its loop's thread
/// touches it.
class Stream final : public io::Stream, public Pooled, private io::Timer {
 public:
  /// The server's side of a connection, before its handshake.
  Stream(std::shared_ptr<const Context> context, io::Stream& below);
  /// The client's side, likewise.
  Stream(std::shared_ptr<KnownServer> server, io::Stream& below);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() override;

  struct HandshakeOp : io::Op {
    Result<void> result;
  };
  /// Before the handshake: what was received already.
  void give_first(io::Chunk received) { below_recv_.result = std::move(received); }
  /// Before anything else. `limit` is for the whole of it. An error has a cause (tls_…); the peer
  /// was told by an alert if it speaks TLS. Of one that asked for plain HTTP nothing was answered.
  void start_handshake(HandshakeOp& op, Millis limit);
  /// `co_await stream.handshake(limit)` → Result<void>.
  auto handshake(Millis limit) {
    struct Awaiter : HandshakeOp {
      Stream& stream;
      Millis limit;
      Awaiter(Stream& s, Millis l) : stream(s), limit(l) {}
      bool await_ready() { return false; }
      void await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        stream.start_handshake(*this, limit);
      }
      Result<void> await_resume() { return result; }
    };
    return Awaiter(*this, limit);
  }

  /// The bytes go over another stream of the same loop from now on: the connection has changed
  /// hands. Nothing may be under way. The old one is not touched any more.
  void rebind(io::Stream& below);

  [[nodiscard]] const Context& context() const { return *context_; }
  /// After the handshake: what was agreed on.
  [[nodiscard]] const Facts& facts() const { return *facts_; }
  /// Whether the certificate that was shown to the client is one of this host.
  [[nodiscard]] bool covers(std::string_view host) const;

  // io::Stream
  bool start_recv(io::RecvOp& op, Millis stall) override;
  bool start_send(io::SendOp& op, Millis stall) override;
  /// Of bytes that are to be encrypted none; what is encrypted below.
  std::size_t try_send(Bytes, io::SendOp::More) override { return 0; }
  void set_recv_deadline(Millis stall) override;
  void cancel(Error why) override;
  void cancel_recv(Error why) override;
  /// Sends close_notify and then the end of our direction below. Behind SendOp::More::end
  /// close_notify has left already, with the last bytes.
  void shutdown_write() override;
  /// An orderly close says close_notify, as far as it can be said without waiting.
  void close(Close how) override;
  [[nodiscard]] const Error* cancelled() const override { return cancelled_.get(); }
  [[nodiscard]] std::uint64_t unacknowledged() const override {
    return below_ == nullptr ? 0 : below_->unacknowledged();
  }
  [[nodiscard]] Micros send_stall() const override {
    return below_ == nullptr ? Micros(0) : below_->send_stall();
  }
  [[nodiscard]] io::Peer local_end() const override {
    return below_ == nullptr ? io::Peer() : below_->local_end();
  }
  io::Socket* plain_socket() override { return nullptr; }

 private:
  friend struct BehindHandshake;  // of tests
  enum class Reading : std::uint8_t { open, ended, failed };
  enum class Writing : std::uint8_t { open, said_end, ended };

  struct BelowRecv : io::RecvOp {
    explicit BelowRecv(Stream& s) : stream(s) {}
    Stream& stream;
  };
  struct BelowSend : io::SendOp {
    explicit BelowSend(Stream& s) : stream(s) {}
    Stream& stream;
  };

  // The handshake (stream_handshake.cc).
  void receive_handshake();
  void queue_step();
  void run_step();
  Result<Handshake::Step> shake();
  void handshake_stepped(Result<Handshake::Step> step);
  void finish_handshake(Result<void> result);
  [[nodiscard]] Error handshake_fault(const Error& error) const;
  void time_out_handshake();
  [[nodiscard]] Result<void> first_bytes() const;

  // Receiving (stream_recv.cc).
  void on_received();
  void take_received();
  bool advance_reading();
  bool deliver(io::RecvOp& op);
  std::span<char> next_record();
  void consume_record(std::span<char> record);
  bool open_record(std::span<char> record, io::RecvOp& op, io::Chunk& plain);
  bool make_room(const io::RecvOp& op, io::Chunk& plain);
  void on_content(Content type, Bytes content);
  void on_alert(Bytes content);
  void on_message(Bytes content);
  [[nodiscard]] Bytes skip_tickets(Bytes content);
  void fail_reading(Alert alert);
  void keep_tail();
  void let_go();
  [[nodiscard]] Millis recv_left();

  // Sending (stream_send.cc).
  void on_sent();
  bool take_sent();
  bool advance_writing();
  void seal_some(io::SendOp& op);
  std::size_t seal_record(io::SendOp& op, std::size_t size);
  [[nodiscard]] std::size_t record_size_now();
  void seal_own(Content type, Bytes content);
  void say_end();
  void answer_update();
  void say_offence();
  void flush_own(io::SendOp::More more);

  void on_timer();

  io::Stream* below_;
  std::shared_ptr<const Context> context_;
  std::shared_ptr<KnownServer> server_;   // of the client's side, until its handshake is over
  std::unique_ptr<Handshake> handshake_;  // of the client's side: until content has come
  std::unique_ptr<Facts> facts_;
  std::unique_ptr<const Error> cancelled_;
  HandshakeOp* shaking_ = nullptr;

  BelowRecv below_recv_{*this};
  io::RecvOp* reading_ = nullptr;
  Instant recv_due_ = kNever;
  Millis recv_stall_{0};
  Error read_error_{};       // where != nullptr: of one wait, or (Reading::failed) of all
  io::Chunk in_;             // received
  io::Chunk tail_;           // the begin of a record whose rest has not come
  Bytes opened_;             // content in one of these two, not given out
  std::uint32_t in_at_ = 0;  // opened up to here
  std::uint32_t handshake_bytes_ = 0;
  std::uint32_t ticket_left_ = 0;  // bytes of a session ticket that are still to come
  Reading read_ = Reading::open;
  bool receiving_below_ = false;
  bool tail_opened_ = false;
  std::uint8_t empty_records_ = 0;

  bool sending_below_ = false;
  bool answer_update_ = false;  // the peer asked for new keys of ours
  bool tickets_wait_ = false;   // of a server, in own_, for the first content
  static constexpr Alert kNoAlert = Alert::close_notify;
  Alert owed_ = kNoAlert;  // for an offence
  Writing write_ = Writing::open;
  std::uint16_t content_max_ = kRecordPlainMax;
  BelowSend below_send_{*this};
  io::SendOp* writing_ = nullptr;
  Millis send_stall_{0};
  std::string own_;  // records of the protocol itself, and of the handshake
  io::Chunk out_;
  std::size_t burst_ = 0;  // content sent since the start or the last pause
  Instant sent_at_{};

  Records receiving_;
  Records sending_;
};

}  // namespace weir::tls
