// SPDX-License-Identifier: Apache-2.0
//
// A stream behind its handshake, on the simulated network. The bytes are a script, a letter and its
// numbers for each step: what a peer that has the keys seals, damages and cuts, and what the user
// of the stream does. What is given out is what was sealed, in order, up to the first offence and
// nothing behind it; an end is a proper one only after close_notify; the peer decrypts what was
// sent. The peer's cryptography is not that of records.cc.
#include <algorithm>
#include <memory>

#include "base/limits.h"
#include "io/sim_io.h"
#include "io/tcp_stream.h"
#include "tls/records_for_test.h"

using namespace weir;
using namespace weir::tls;

namespace {

using More = io::SendOp::More;

constexpr std::size_t kBytesMax = 128_KiB;         // of each direction
constexpr std::uint64_t kRecordsPerKey = 1 << 23;  // then the stream takes a new one
constexpr std::size_t kOwnMax = 256;               // held by a stream of the protocol's own records
constexpr Millis kStep{200};

/// What is at each place of a direction.
const std::string& pattern() {
  static const std::string bytes = [] {
    std::string made(kBytesMax, '\0');
    for (std::size_t i = 0; i < made.size(); ++i) {
      made[i] = static_cast<char>((i * 31 + (i >> 8) * 17 + (i >> 16)) & 0xff);
    }
    return made;
  }();
  return bytes;
}

class Script {
 public:
  explicit Script(Bytes bytes) : left_(bytes) {}
  [[nodiscard]] bool over() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto result = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return result;
  }
  /// 0 … most, by two bytes.
  std::size_t number(std::size_t most) {
    const std::size_t high = byte();
    return (high << 8 | byte()) % (most + 1);
  }
  Bytes text(std::size_t size) {
    const Bytes result = left_.substr(0, size);
    left_.remove_prefix(result.size());
    return result;
  }

 private:
  Bytes left_;
};

/// What the stream should make of what its peer has sealed.
struct Verdict {
  std::uint64_t content = 0;  // bytes that are to be given out
  bool ended = false;         // close_notify stands behind them, or
  bool offended = false;      // what is no record, or not the next one, or not allowed, or
  bool alerted = false;       // a fatal alert
  unsigned empty = 0;         // records in a row that brought nothing
  int requested = 0;          // new keys
  [[nodiscard]] bool over() const { return ended || offended || alerted; }
};

struct Setup {
  explicit Setup(Script& script) {
    const std::uint8_t how = script.byte();
    protocol = (how & 1) != 0 ? Protocol::tls12 : Protocol::tls13;
    suite = static_cast<Suite>((how >> 1) % 3);
    sent = (how & 8) != 0 ? kRecordsPerKey - 3 : 0;
    const std::uint8_t network = script.byte();
    if ((network & 1) != 0) faults.short_read = 0.5;
    if ((network & 2) != 0) faults.short_write = 0.5;
    if ((network & 4) != 0) faults.deferred = 0.5;
    if ((network & 8) != 0) faults.told_late = 0.5;
    if ((network & 16) != 0) faults.delay_max = Micros(2'000);
    if ((network & 32) != 0) faults.receive_capacity = 3'000;
    if ((network & 64) != 0) faults.receive_capacity = 256_KiB;
    if ((network & 128) != 0) budget = 64_KiB;
    seed = script.byte();
  }
  Protocol protocol = Protocol::tls13;
  Suite suite = Suite::aes128_gcm;
  std::uint64_t sent = 0;
  io::SimFaults faults;
  std::size_t budget = 64_MiB;
  std::uint64_t seed = 0;
};

/// Both ends, connected, each on a loop of its own.
struct Net {
  explicit Net(const Setup& setup) : network(setup.seed), ours(setup.budget), theirs(64_MiB) {
    ours.attach(io::make_sim_io(ours, network));
    theirs.attach(io::make_sim_io(theirs, network));
    const io::SocketAddress address = *io::SocketAddress::from_ip("127.0.0.1", 443);
    io::Socket* listener = ours.io().adopt_listener(*network.listen(address));
    io::ConnectOp connect;
    connect.target = address;
    connect.callback = [](io::Op&) {};
    theirs.io().start_connect(connect);
    network.rounds(4);
    client = std::make_unique<io::TcpStream>(theirs, *connect.result);
    io::Peer peer;
    const int fd = **ours.io().accept_queued(*listener, peer);
    server = std::make_unique<io::TcpStream>(ours, ours.io().adopt(fd));
    ours.io().close(*listener);
    network.faults = setup.faults;
  }
  io::SimNetwork network;
  io::Loop ours;
  io::Loop theirs;
  std::unique_ptr<io::TcpStream> client;
  std::unique_ptr<io::TcpStream> server;
};

class Play {
 public:
  explicit Play(Bytes bytes)
      : script_(bytes),
        setup_(script_),
        net_(setup_),
        to_(setup_.protocol, setup_.suite, 0x11, 0),
        from_(setup_.protocol, setup_.suite, 0x22, setup_.sent),
        stream_(std::make_unique<Stream>(std::make_shared<const NoContext>(), *net_.server)) {
    BehindHandshake::begin(*stream_, to_, from_);
    recv_.callback = [](io::Op& op) {
      static_cast<Recv&>(static_cast<io::RecvOp&>(op)).play.user_received();
    };
    send_.callback = [](io::Op& op) {
      static_cast<Send&>(static_cast<io::SendOp&>(op)).play.user_sent();
    };
    peer_recv_.callback = [](io::Op& op) {
      Play& play = static_cast<Recv&>(static_cast<io::RecvOp&>(op)).play;
      play.peer_received();
      play.peer_receive();
    };
  }

  void run() {
    while (!script_.over()) {
      act(script_.byte());
      WEIR_ASSERT(closed_ || BehindHandshake::own(*stream_) <= kOwnMax);
    }
    finish();
  }

 private:
  struct Recv : io::RecvOp {
    explicit Recv(Play& p) : play(p) {}
    Play& play;
    bool under_way = false;
  };
  struct Send : io::SendOp {
    explicit Send(Play& p) : play(p) {}
    Play& play;
    bool under_way = false;
  };
  [[nodiscard]] bool tls13() const { return setup_.protocol == Protocol::tls13; }

  void act(std::uint8_t letter) {
    switch (letter) {
      // The peer.
      case 'd': return seal_content(script_.number(kRecordPlainMax), 0);
      case 's': return seal_content(script_.byte() % 40u, 0);
      case 'p': {
        const std::size_t size = script_.number(kRecordPlainMax);
        return seal_content(size, script_.number(kRecordPlainMax - size));
      }
      case 'o': return seal_too_much(1 + script_.byte() % 200u);
      case 't': return seal_typed(script_.byte(), script_.text(script_.byte() % 8u));
      case 'a': return seal_typed(21, script_.text(2));
      case 'e': return seal_typed(21, Bytes("\1\0", 2));
      case 'k': return seal_typed(22, Bytes("\x18\0\0\1\0", 5));
      case 'q': return seal_typed(22, Bytes("\x18\0\0\1\1", 5));
      case 'z': return seal_zeros(script_.byte());
      case 'x': return send_damaged();
      case 'r': return send_raw(script_.text(script_.byte()));
      case 'R': return send_again();
      case 'l': return to_skip();
      // The network.
      case 'c': return put(script_.number(20'000));
      case '.': return put(wire_.size());
      case ' ': return step();
      case 'w': return wait(Millis(script_.byte()));
      case 'u': peer_paused_ = true; return;
      case 'U': peer_paused_ = false; return peer_receive();
      case 'f': return peer_end();
      case 'F': return peer_close();
      // The user.
      default: return act_as_user(letter);
    }
  }

  void act_as_user(std::uint8_t letter) {
    if (closed_) return step();
    switch (letter) {
      case 'g': return user_receive(1 + script_.number(40'000), Millis(0));
      case 'G': return user_receive(16_KiB, Millis(1 + script_.byte()));
      case 'h': return user_send(script_.number(65'535), More::no);
      case 'H': return user_send(4 * script_.number(30'000), More::yes);
      case 'E': return user_send(4 * script_.number(30'000), More::end);
      case 'n': return stream_->cancel_recv(Error{Code::cancelled, Cause::none, 0, "n"});
      case 'N':
        cut_short_ = true;
        return stream_->cancel(Error{Code::cancelled, Cause::draining, 0, "N"});
      case 'W': return user_end();
      case 'C': return user_close(io::Stream::Close::orderly);
      case 'Z': return user_close(io::Stream::Close::reset);
      default: return step();
    }
  }

  // What the peer seals.
  void add(std::string record) {
    if (peer_ended_) return;
    wire_ += record;
    last_ = std::move(record);
  }
  std::string inner(std::uint8_t type, Bytes content, std::size_t padding) const {
    std::string all(content);
    if (tls13()) all.append(1, static_cast<char>(type)).append(padding, '\0');
    return all;
  }
  std::string sealed(std::uint8_t type, Bytes content, std::size_t padding) {
    return to_.seal(tls13() ? 23 : type, inner(type, content, padding));
  }
  void offend() {
    if (!verdict_.over()) verdict_.offended = true;
  }
  void count_empty() {
    if (++verdict_.empty > kEmptyRecordsMax) offend();
  }

  void seal_content(std::size_t size, std::size_t padding) {
    if (peer_ended_) return;
    size = std::min<std::size_t>(size, kBytesMax - sealed_);
    add(sealed(23, Bytes(pattern()).substr(sealed_, size), padding));
    sealed_ += size;
    if (skipped_) return offend();
    if (verdict_.over()) return;
    verdict_.content = sealed_;
    if (size > 0) {
      verdict_.empty = 0;
    } else {
      count_empty();
    }
  }

  void seal_too_much(std::size_t more) {
    if (peer_ended_) return;
    // As content, or as padding behind it. RFC 8446 section 5.4.
    const std::string content(kRecordPlainMax + more, 'x');
    add(more % 2 == 0 ? sealed(23, content, 0)
                      : sealed(23, Bytes(content).substr(0, tls13() ? 1 : std::string::npos),
                               content.size()));
    offend();
  }

  void seal_typed(std::uint8_t type, Bytes content) {
    if (peer_ended_) return;
    if (type == 23) return seal_content(content.size(), 0);
    add(sealed(type, content, 0));
    const bool update = tls13() && type == 22 && content.size() == 5 &&
                        content.substr(0, 4) == Bytes("\x18\0\0\1", 4) && content[4] >= 0 &&
                        content[4] <= 1;
    if (skipped_) offend();
    if (!verdict_.over()) judge_typed(type, content, update);
    if (update) to_.update();
  }

  void judge_typed(std::uint8_t type, Bytes content, bool update) {
    count_empty();
    if (verdict_.over()) return;
    if (update) {
      verdict_.requested += content[4];
      return;
    }
    if (type != 21 || content.size() != 2) return offend();
    if (content[1] == 0) {
      verdict_.ended = true;
    } else if (tls13() ? content[1] != 90 : content[0] != 1) {
      verdict_.alerted = true;
    }
  }

  void seal_zeros(std::size_t size) {
    if (peer_ended_) return;
    if (!tls13()) return;
    add(to_.seal(23, std::string(size, '\0')));
    offend();
  }

  void send_damaged() {
    if (peer_ended_) return;
    const std::size_t size = script_.number(2'000);
    std::string record = sealed(23, Bytes(pattern()).substr(0, size), 0);
    std::size_t at = script_.number(record.size() - 1);
    if (at == 2) at = 1;  // of TLS 1.2 nobody looks at that one
    record[at] = static_cast<char>(record[at] ^ (1 << script_.byte() % 8));
    add(std::move(record));
    offend();
  }

  void send_raw(Bytes bytes) {
    if (peer_ended_ || bytes.empty()) return;
    wire_ += bytes;
    offend();
  }

  void send_again() {
    if (last_.empty() || peer_ended_) return;
    wire_ += last_;
    offend();
  }

  // A record is lost.
  void to_skip() {
    to_.skip();
    skipped_ = true;
  }

  // The network.
  void put(std::size_t most) {
    if (!peer_ended_) {
      const std::size_t size = std::min(most, wire_.size());
      wire_.erase(0, net_.client->try_send(Bytes(wire_).substr(0, size), More::no));
    }
    step();
  }
  void step() { net_.network.rounds(4); }
  void wait(Millis time) {
    net_.network.run([] { return false; }, net_.network.now() + time);
  }
  void peer_end() {
    if (peer_ended_) return;
    put(wire_.size());
    if (!wire_.empty()) cut_short_ = true;  // sealed, and never sent
    peer_ended_ = true;
    net_.client->shutdown_write();
  }
  void peer_close() {
    if (peer_closed_) return;
    peer_ended_ = peer_closed_ = true;
    cut_short_ = true;
    peer_recv_.under_way = false;
    net_.client->close(script_.byte() % 2 == 0 ? io::Stream::Close::orderly
                                               : io::Stream::Close::reset);
  }

  // What the peer is sent.
  void peer_receive() {
    while (!peer_paused_ && !peer_recv_.under_way && !peer_closed_ && !from_over_) {
      peer_recv_.under_way = true;
      peer_recv_.window = 16_KiB;
      if (!net_.client->start_recv(peer_recv_, Millis(0))) return;
      peer_received();
    }
  }
  void peer_received() {
    peer_recv_.under_way = false;
    if (!peer_recv_.result || peer_recv_.result->empty()) {
      from_over_ = true;
      return;
    }
    inbound_ += peer_recv_.result->bytes();
    peer_recv_.result = io::Chunk();
    for (;;) {
      const auto size = record_size(inbound_);
      WEIR_ASSERT(size.has_value());
      if (*size == 0 || *size > inbound_.size()) return;
      std::uint8_t type = 0;
      const std::string content = from_.open(Bytes(inbound_).substr(0, *size), type);
      inbound_.erase(0, *size);
      judge_sent(type, content);
    }
  }

  void judge_sent(std::uint8_t type, Bytes content) {
    WEIR_ASSERT(!told_end_ && !told_alert_);
    switch (type) {
      case 23:
        WEIR_ASSERT(got_ + content.size() <= handed_);
        WEIR_ASSERT(content == Bytes(pattern()).substr(got_, content.size()));
        got_ += content.size();
        return;
      case 22:
        WEIR_ASSERT(tls13() && content == Bytes("\x18\0\0\1\0", 5));
        from_.update();
        ++answers_;
        return;
      case 21: break;
      default: WEIR_UNREACHABLE("a type that nobody sends");
    }
    WEIR_ASSERT(content.size() == 2);
    told_end_ = content == Bytes("\1\0", 2);
    told_alert_ = !told_end_;
    WEIR_ASSERT(told_end_ ? user_ended_ : content[0] == 2 && verdict_.offended);
  }

  // The user.
  void user_receive(std::size_t window, Millis stall) {
    if (recv_.under_way || closed_) return;
    recv_.under_way = true;
    recv_.window = static_cast<std::uint32_t>(window);
    recv_.work = window % 2 == 0 ? io::Work::under_way : io::Work::fresh;
    if (stream_->start_recv(recv_, stall)) user_received();
  }

  void user_received() {
    recv_.under_way = false;
    Result<io::Chunk> result = std::exchange(recv_.result, io::Chunk());
    if (result && !result->empty()) {
      WEIR_ASSERT(!given_end_ && !given_error_);
      WEIR_ASSERT(given_ + result->size() <= verdict_.content);
      WEIR_ASSERT(result->bytes() == Bytes(pattern()).substr(given_, result->size()));
      given_ += result->size();
      return;
    }
    if (result) {
      WEIR_ASSERT(!given_error_ && verdict_.ended && given_ == verdict_.content);
      given_end_ = true;
      return;
    }
    const Code code = result.error().code;
    if (code == Code::timed_out || code == Code::no_memory || code == Code::cancelled) return;
    WEIR_ASSERT(!given_end_);
    given_error_ = true;
    if (cut_short_) return;
    WEIR_ASSERT(!verdict_.ended && given_ == verdict_.content);
    WEIR_ASSERT(code == Code::closed ? peer_ended_ : verdict_.offended || verdict_.alerted);
  }

  void user_send(std::size_t size, More more) {
    if (send_.under_way || user_ended_) return;
    size = std::min<std::size_t>(size, kBytesMax - handed_);
    const Bytes all = Bytes(pattern()).substr(handed_, size);
    send_.pieces = {all.substr(0, size / 3), Bytes(), all.substr(size / 3, size / 2),
                    all.substr(size / 3 + all.substr(size / 3, size / 2).size())};
    send_.more = more;
    send_.under_way = true;
    handed_ += size;
    if (more == More::end) user_ended_ = true;
    if (stream_->start_send(send_, Millis(0))) user_sent();
  }
  void user_sent() {
    send_.under_way = false;
    if (send_.result) return;
    WEIR_ASSERT(cut_short_ || verdict_.offended || verdict_.alerted);
    send_failed_ = true;
  }
  void user_end() {
    if (send_.under_way) return;
    user_ended_ = true;
    stream_->shutdown_write();
  }
  void user_close(io::Stream::Close how) {
    if (send_.under_way) return;
    cut_short_ = user_ended_ = closed_ = true;
    recv_.under_way = false;
    stream_->close(how);
  }

  // All that was sealed arrives, all that was sent is read, and then the peer ends.
  void finish() {
    net_.network.faults = {};
    peer_paused_ = false;
    drain();
    if (!cut_short_) {
      WEIR_ASSERT(!send_.under_way);
      const bool goes_on = !verdict_.offended && !verdict_.alerted;
      if (goes_on) WEIR_ASSERT(got_ == handed_ && told_end_ == user_ended_);
      // Behind an end there is no wait in which it could leave.
      const bool answers = goes_on && !user_ended_ && !verdict_.ended && !peer_ended_;
      if (answers && verdict_.requested > 0) WEIR_ASSERT(answers_ > 0);
      if (verdict_.ended) WEIR_ASSERT(given_end_);
    }
    peer_end();
    drain();
    if (!cut_short_) {
      WEIR_ASSERT(given_ == verdict_.content);
      WEIR_ASSERT(verdict_.ended ? given_end_ : given_error_);
    }
    if (send_.under_way) stream_->cancel(Error{Code::cancelled, Cause::draining, 0, "end"});
    wait(kStep);
    WEIR_ASSERT(!send_.under_way);
    user_ended_ = true;
    stream_->close(io::Stream::Close::orderly);
    closed_ = true;
    drain();
    if (!cut_short_ && !send_failed_ && !verdict_.offended && !verdict_.alerted) {
      WEIR_ASSERT(got_ == handed_ && told_end_ && inbound_.empty());
    }
    stream_.reset();
    net_.server.reset();
    WEIR_ASSERT(net_.ours.chunks.used() == 0);
  }

  void drain() {
    for (int idle = 0; idle < 2;) {
      const std::array before = {given_, got_, std::uint64_t{wire_.size()}};
      put(wire_.size());
      peer_receive();
      if (!given_end_ && !given_error_) user_receive(32_KiB, Millis(0));
      wait(kStep);
      idle = before == std::array{given_, got_, std::uint64_t{wire_.size()}} ? idle + 1 : 0;
    }
  }

  Script script_;
  Setup setup_;
  Net net_;
  Direction to_;
  Direction from_;
  std::unique_ptr<Stream> stream_;
  Recv recv_{*this};
  Send send_{*this};
  Recv peer_recv_{*this};

  std::string wire_;  // sealed, not sent
  std::string last_;  // record
  std::uint64_t sealed_ = 0;
  Verdict verdict_;
  bool skipped_ = false;
  bool peer_ended_ = false;
  bool peer_closed_ = false;
  bool peer_paused_ = false;

  std::string inbound_;  // of the stream
  std::uint64_t got_ = 0;
  int answers_ = 0;
  bool told_end_ = false;
  bool told_alert_ = false;
  bool from_over_ = false;

  std::uint64_t given_ = 0;
  bool given_end_ = false;
  bool given_error_ = false;
  std::uint64_t handed_ = 0;
  bool send_failed_ = false;
  bool user_ended_ = false;
  bool closed_ = false;
  bool cut_short_ = false;  // by somebody who need not wait
};

}  // namespace

// What an input has freed is watched until the next one, and no longer: that would cost as much
// again.
extern "C" const char* __asan_default_options() {  // NOLINT(bugprone-reserved-identifier)
  return "quarantine_size_mb=8";
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Play(Bytes(reinterpret_cast<const char*>(data), size)).run();
  return 0;
}
