// SPDX-License-Identifier: Apache-2.0
//
// The floor for io_uring: like relay_epoll, by completions. One submit_and_wait per turn, multishot
// accept and receive into one ring of shared buffers, each sent on from where it was received.
// Keep the ring small and hot for small messages, the buffers large for bulk.
//
//     relay_ring [--port PORT] [--buffers COUNT] [--buffer-size BYTES] --to PORT
#include <liburing.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "sockets.h"

namespace weir::bench {
namespace {

struct Pair;

struct Piece {
  unsigned short buffer;
  unsigned size;
  unsigned sent;
};

/// One socket, and the direction that is read from it.
struct alignas(8) End {
  Pair* pair = nullptr;
  End* peer = nullptr;
  int fd = -1;
  bool receiving = false;
  bool sending = false;
  bool ended = false;        // nothing more will be received
  bool finished = false;     // and the peer was told
  std::deque<Piece> pieces;  // received; the first is being sent
};

struct Pair {
  End client;
  End server;
  int operations = 0;
  bool dying = false;
};

/// What an operation was, in the low bits of its user_data beside the End.
enum Kind : std::uint64_t { kAccept = 0, kConnect = 1, kReceive = 2, kSend = 3, kMask = 7 };

class Relay {
 public:
  Relay(int listener, const sockaddr_in& to, unsigned count, unsigned size)
      : listener_(listener),
        to_(to),
        count_(count),
        size_(size),
        memory_(std::size_t{count} * size) {
    set_up();
    const std::size_t bytes = count * sizeof(io_uring_buf);
    buffers_ = static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, (bytes + 4095) & ~4095UL));
    io_uring_buf_ring_init(buffers_);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(buffers_);
    registration.ring_entries = count;
    if (io_uring_register_buf_ring(&ring_, &registration, 0) != 0) fail("register_buf_ring");
    for (unsigned i = 0; i < count; ++i) give_back(static_cast<unsigned short>(i));
  }

  [[noreturn]] void run() {
    accept();
    for (;;) {
      const int result = io_uring_submit_and_wait(&ring_, 1);
      if (result < 0 && result != -EINTR) fail("submit_and_wait");
      unsigned head = 0;
      unsigned seen = 0;
      io_uring_cqe* cqe = nullptr;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        on_completion(*cqe);
        ++seen;
      }
      io_uring_cq_advance(&ring_, seen);
      receive_again();
    }
  }

 private:
  void set_up() {
    constexpr unsigned kEntries = 4096;
    for (const unsigned flags :
         {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0U}) {
      io_uring_params parameters{};
      parameters.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
      parameters.cq_entries = 4 * kEntries;
      if (io_uring_queue_init_params(kEntries, &ring_, &parameters) == 0) {
        io_uring_register_ring_fd(&ring_);
        return;
      }
    }
    fail("io_uring");
  }

  template <class Prepare>
  void start(End* end, Kind kind, Prepare prepare) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) {
      io_uring_submit(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    prepare(sqe);
    sqe->user_data = reinterpret_cast<std::uint64_t>(end) | kind;
    if (end != nullptr) ++end->pair->operations;
  }

  void accept() {
    start(nullptr, kAccept, [&](io_uring_sqe* sqe) {
      io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    });
  }

  void receive(End& end) {
    end.receiving = true;
    start(&end, kReceive, [&](io_uring_sqe* sqe) {
      io_uring_prep_recv_multishot(sqe, end.fd, nullptr, 0, 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
      sqe->buf_group = 0;
    });
  }

  void send_next(End& end) {
    if (end.pieces.empty() || end.sending) return;
    end.sending = true;
    const Piece& piece = end.pieces.front();
    start(&end, kSend, [&](io_uring_sqe* sqe) {
      io_uring_prep_send(sqe, end.peer->fd, at(piece.buffer) + piece.sent, piece.size - piece.sent,
                         MSG_NOSIGNAL | MSG_WAITALL);
    });
  }

  void on_completion(const io_uring_cqe& cqe) {
    auto* end = reinterpret_cast<End*>(cqe.user_data & ~kMask);
    const bool more = (cqe.flags & IORING_CQE_F_MORE) != 0;
    if (end == nullptr) {
      if (cqe.res >= 0) on_accept(cqe.res);
      if (!more) accept();
      return;
    }
    Pair& pair = *end->pair;
    if (!more) --pair.operations;
    switch (cqe.user_data & kMask) {
      case kConnect: on_connect(pair, cqe.res); break;
      case kReceive: on_receive(*end, cqe, more); break;
      default: on_send(*end, cqe.res); break;
    }
    if (pair.dying && pair.operations == 0) bury(pair);
  }

  void on_accept(int client) {
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0) {
      close(client);
      return;
    }
    no_delay(client);
    no_delay(server);
    auto* pair = std::make_unique<Pair>().release();  // until bury()
    for (End* end : {&pair->client, &pair->server}) end->pair = pair;
    pair->client.peer = &pair->server;
    pair->server.peer = &pair->client;
    pair->client.fd = client;
    pair->server.fd = server;
    start(&pair->server, kConnect, [&](io_uring_sqe* sqe) {
      io_uring_prep_connect(sqe, server, reinterpret_cast<const sockaddr*>(&to_), sizeof to_);
    });
  }

  void on_connect(Pair& pair, int result) {
    if (result < 0) return kill(pair);
    receive(pair.client);
    receive(pair.server);
  }

  void on_receive(End& end, const io_uring_cqe& cqe, bool more) {
    if (!more) end.receiving = false;
    if (cqe.res > 0) {
      const auto buffer = static_cast<unsigned short>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
      --free_;
      end.pieces.push_back({buffer, static_cast<unsigned>(cqe.res), 0});
      if (!end.pair->dying) send_next(end);
    } else if (cqe.res == 0) {
      end.ended = true;
      finish_if_done(end);
    } else if (cqe.res != -ENOBUFS) {
      return kill(*end.pair);
    }
    if (!end.receiving && !end.ended && !end.pair->dying) starved_.push_back(&end);
  }

  void on_send(End& end, int result) {
    end.sending = false;
    Piece& piece = end.pieces.front();
    if (result < 0) return kill(*end.pair);
    piece.sent += static_cast<unsigned>(result);
    if (piece.sent == piece.size) {
      give_back(piece.buffer);
      end.pieces.pop_front();
    }
    if (end.pair->dying) return;
    send_next(end);
    finish_if_done(end);
  }

  void finish_if_done(End& end) {
    if (!end.ended || !end.pieces.empty() || end.finished || end.pair->dying) return;
    end.finished = true;
    if (end.peer->finished) return kill(*end.pair);
    shutdown(end.peer->fd, SHUT_WR);
  }

  /// Receives that ended because every buffer was in use start again once some are free.
  void receive_again() {
    if (starved_.empty() || free_ < count_ / 4) return;
    const std::vector<End*> ends = std::move(starved_);
    starved_.clear();
    for (End* end : ends) receive(*end);
  }

  /// Ends what the kernel still does with the pair; its memory lives until that has completed.
  void kill(Pair& pair) {
    pair.dying = true;
    shutdown(pair.client.fd, SHUT_RDWR);
    shutdown(pair.server.fd, SHUT_RDWR);
    std::erase_if(starved_, [&](const End* end) { return end->pair == &pair; });
  }

  void bury(Pair& pair) {
    for (End* end : {&pair.client, &pair.server}) {
      for (const Piece& piece : end->pieces) give_back(piece.buffer);
      close(end->fd);
    }
    delete &pair;
  }

  char* at(unsigned short buffer) { return memory_.data() + std::size_t{buffer} * size_; }

  void give_back(unsigned short buffer) {
    io_uring_buf_ring_add(buffers_, at(buffer), size_, buffer, io_uring_buf_ring_mask(count_), 0);
    io_uring_buf_ring_advance(buffers_, 1);
    ++free_;
  }

  const int listener_;
  const sockaddr_in to_;
  const unsigned count_;
  const unsigned size_;
  unsigned free_ = 0;
  io_uring ring_{};
  io_uring_buf_ring* buffers_ = nullptr;
  std::vector<char> memory_;
  std::vector<End*> starved_;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir::bench;
  const std::span arguments(argv, static_cast<std::size_t>(argc));
  const auto to = target(arguments);
  const auto count =
      static_cast<unsigned>(number(option(arguments, "--buffers", "256")).value_or(256));
  const auto size =
      static_cast<unsigned>(number(option(arguments, "--buffer-size", "4096")).value_or(4096));
  Relay(listen_as_told(arguments, 0), to, count, size).run();
}
