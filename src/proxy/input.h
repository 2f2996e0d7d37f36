// SPDX-License-Identifier: Apache-2.0
//
// The received side of a connection: bytes that arrived and were not consumed yet, and the receive
// that is under way. A receive may be armed while nobody waits for it: between requests, during an
// exchange, in the pool of idle connections. Then a watcher is told of what it brings, which is how
// a client that leaves and a server that closes an idle connection are noticed at no cost.
#pragma once

#include <coroutine>
#include <optional>
#include <span>

#include "io/stream.h"
#include "proxy/accepted.h"

namespace weir::proxy {

class Input : private io::RecvOp {
 public:
  /// Told from the run queue that a receive which nobody awaited has ended. One at a time.
  class Watcher {
   public:
    virtual void input_arrived() = 0;

   protected:
    ~Watcher() = default;
  };

  explicit Input(io::Stream& stream) : stream_(stream) {}
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;
  /// A receive that is under way is given up.
  ~Input();

  /// Unconsumed bytes; valid until the next more(), or until consumed and unpinned.
  [[nodiscard]] std::span<char> bytes() { return rest_; }
  [[nodiscard]] Bytes view() const { return {rest_.data(), rest_.size()}; }
  void consume(std::size_t count) { rest_ = rest_.subspan(count); }

  /// For another input of the same connection: what was received and not consumed. Takes it over.
  [[nodiscard]] Unread take_unread();
  void put_unread(Unread unread);

  /// Consumes the first `count` bytes (a head) and gives out the buffer that they stand in, and
  /// what is behind them as well: to be kept until unpin().
  [[nodiscard]] io::Chunk pin(std::size_t count);
  /// Takes back what pin() gave, and lets go of every buffer without unconsumed bytes: also of the
  /// one under the last piece.
  void unpin(io::Chunk pinned = {});

  /// What is received from now on is new work, or belongs to what is under way (the default).
  void expect(io::Work work) { next_work_ = work; }
  /// Starts a receive in advance. No effect when one is under way, bytes are here or the peer
  /// ended.
  void arm(std::size_t window);
  void watch(Watcher* watcher);
  /// The peer ended its direction, or the connection failed; with all bytes before it consumed or
  /// not.
  [[nodiscard]] bool ended() const { return state_ == State::arrived && over(); }
  /// With ended(): nothing for a proper end, otherwise the failure.
  [[nodiscard]] std::optional<Error> failure() const;
  /// Something was received in advance that more() would bring without waiting.
  [[nodiscard]] bool arrived() const { return state_ == State::arrived; }

  /// With arrived(): what more() would return, for who has no coroutine.
  Result<bool> take_arrived();

  /// No receive is under way, and none has brought anything.
  [[nodiscard]] bool idle() const { return state_ == State::idle; }

  /// `co_await more(window, stall)` → Result<bool>: true when bytes() is not empty any more, false
  /// at the peer's end. bytes() must be empty before.
  auto more(std::size_t window, Millis stall) { return More(*this, window, stall, Keep::no); }
  /// Likewise, but appends behind the bytes that are there, in one contiguous buffer of at most
  /// `size_max` bytes: for heads that come in pieces. Code::no_memory when the budget is used up.
  auto more_behind(std::size_t size_max, Millis stall) {
    return More(*this, size_max, stall, Keep::yes);
  }
  /// Changes the deadline of a wait that is under way.
  void set_deadline(Millis stall) { stream_.set_recv_deadline(stall); }
  [[nodiscard]] Instant now() { return stream_.loop().now(); }
  /// Straight after more(): what it brought filled all the room that it had.
  [[nodiscard]] bool filled() const { return chunk_.room().empty(); }

 private:
  enum class State : std::uint8_t { idle, armed, arrived };
  enum class Keep : std::uint8_t { no, yes };

  struct More {
    Input& input;
    std::size_t window;
    Millis stall;
    Keep keep;
    More(Input& i, std::size_t w, Millis s, Keep k) : input(i), window(w), stall(s), keep(k) {}
    bool await_ready() { return input.begin(window, stall, keep); }
    void await_suspend(std::coroutine_handle<> handle) { input.waiter = handle; }
    Result<bool> await_resume() { return input.take(window, keep); }
  };

  [[nodiscard]] bool over() const { return !result || result->empty(); }
  bool begin(std::size_t window, Millis stall, Keep keep);
  bool start(std::size_t window, Millis stall);
  Result<bool> take(std::size_t size_max, Keep keep);
  Result<bool> append(io::Chunk piece, std::size_t size_max);
  void arrived_unasked();

  State state_ = State::idle;
  io::Work next_work_ = io::Work::under_way;
  io::Stream& stream_;
  Watcher* watcher_ = nullptr;
  io::Chunk chunk_;
  std::span<char> rest_;
};

}  // namespace weir::proxy
