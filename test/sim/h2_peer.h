// SPDX-License-Identifier: Apache-2.0
//
// A connection on which a simulated client or server speaks HTTP/2: a session of nghttp2 over a
// Wire. What is received stays in a stream until its actor reads it, and only then are the windows
// opened again.
#pragma once

#include <nghttp2/nghttp2.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "async/scope.h"
#include "io/notice.h"
#include "wire.h"

namespace weir::sim {

class H2Peer;
class World;

using H2FieldList = std::vector<std::pair<std::string, std::string>>;

/// One stream, as the actor at this end uses it. Lives as long as its connection.
class H2Line final : public Sink {
 public:
  explicit H2Line(H2Peer& peer);

  /// The next head that comes: informational, final, or of a request.
  Task<Got> read_head(Head& head);
  /// As Wire::read_body(); the end of the body is the end of the stream.
  Task<Body> read_body(Check& check, std::uint64_t stop_at, Seen* seen);
  /// Waits until the stream is no more.
  Task<> wait_closed();

  /// Of a response; an informational one is Last::no and is followed by another.
  void send_head(const H2FieldList& fields, Sink::Last last);
  void send_informational(const H2FieldList& fields);
  Task<bool> put(std::string bytes, Last last) override;
  [[nodiscard]] io::Loop& loop() override;
  void reset(std::uint32_t code);

  std::int32_t id = 0;
  Millis patience;
  std::string head_text;  ///< of the head that was read last
  bool trailers = false;  ///< are to be sent
  bool ended = false;     ///< the other end has ended its direction
  bool bodiless = false;  ///< with its last head
  bool closed = false;
  std::uint32_t code = 0;        ///< with which it was closed
  Exchange* exchange = nullptr;  ///< at a server: which it is told where its answer begins

 private:
  friend class H2Peer;
  friend struct H2PeerCallbacks;
  struct Arrived {
    Head head;
    std::string text;
  };

  void close(std::uint32_t why);
  void take_fields();
  [[nodiscard]] bool handed() const { return out_.empty() && (!last_ || last_handed_); }
  Task<bool> await_more();
  Task<Body> read_any(Check& check, std::uint64_t stop_at);
  nghttp2_data_provider provider();

  H2Peer& peer_;
  io::Notice readable_;
  io::Notice sendable_;
  std::vector<Arrived> heads_;
  H2FieldList fields_;  // of a head that is incomplete
  bool final_head_ = false;
  bool reset_ = false;
  std::string trailers_;
  std::string in_;
  std::string out_;
  bool last_ = false;
  bool last_handed_ = false;
};

struct H2Knobs {
  std::uint32_t window = 65'535;  ///< of each stream that is received
  std::uint32_t connection_window = 65'535;
  std::uint32_t streams_max = 0;  ///< that the other end may have open; 0: the protocol's default
  std::size_t frame_max = 16'384;
  std::size_t padding_max = 0;
  Millis reads_every{0};  ///< streams are read slowly: their windows stay closed meanwhile
};

class H2Peer {
 public:
  enum class Role : std::uint8_t { client, server };
  /// Of a server.
  class Service {
   public:
    virtual void stream_begun(H2Line& line) = 0;
    /// Nothing is open and nothing has come for `Wire::patience` of the idle connection.
    virtual void idle() = 0;

   protected:
    ~Service() = default;
  };

  H2Peer(World& world, Wire& wire, Role role, const H2Knobs& knobs, Service* service = nullptr);
  H2Peer(const H2Peer&) = delete;
  H2Peer& operator=(const H2Peer&) = delete;
  ~H2Peer();

  /// Begins to read and to send.
  void start();
  /// Waits until what was to be sent is, as far as the other end allows it.
  Task<> sent();
  /// Waits until nothing is read or sent any more.
  Task<> over() { return scope_.join(); }
  /// How it ended; Got::bytes: it has not.
  [[nodiscard]] Got end() const { return end_; }

  /// Of a client: another stream; nullptr: the connection takes none.
  H2Line* request(const H2FieldList& fields, Sink::Last last);
  [[nodiscard]] bool takes_requests() const;
  /// Says that no further streams are taken: as a warning, or with the last one that was.
  enum class Goaway : std::uint8_t { warning, last };
  void go_away(Goaway which);
  /// Ends properly what is not under way.
  void leave();
  void ping();

  [[nodiscard]] std::size_t open() const;
  Millis idle_patience{0};  ///< zero: the wire's
  /// Since when the other end may begin no stream, not counting jumps of the clock.
  Instant gone_at = kNever;

 private:
  friend class H2Line;
  friend struct H2PeerCallbacks;
  struct Deleter {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };

  static Task<> receive(H2Peer* self);
  static Task<> send_all(H2Peer* self);
  Task<Got> more();
  bool take_apart();
  void flush();
  void take_last();
  std::string gather();
  H2Line& add_line();
  void lose(Got how);
  [[nodiscard]] bool done() const;

  World& world_;
  Wire& wire_;
  const Role role_;
  const H2Knobs knobs_;
  Service* service_;
  std::unique_ptr<nghttp2_session, Deleter> session_;
  Scope scope_;
  std::vector<std::unique_ptr<H2Line>> lines_;
  std::vector<H2Line*> begun_;       // and not told yet
  std::vector<Exchange*> answered_;  // by what is being gathered
  Got end_ = Got::bytes;
  io::Notice rest_;
  std::int32_t last_ = INT32_MAX;  // stream that is taken
  bool sending_ = false;
  bool leaving_ = false;
  bool shut_ = false;
};

}  // namespace weir::sim
