// SPDX-License-Identifier: Apache-2.0
//
// One HTTP/2 connection (RFC 9113), of either side: frames and header compression are nghttp2's,
// and this is what joins it with a stream of bytes. What arrives is taken apart at once; what is to
// be sent is gathered in one buffer at the end of the turn, of all streams together, and the next
// one is filled when it has left: that is the backpressure. There is no coroutine here, and when
// nothing is under way no buffer.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <span>

#include "io/tcp_stream.h"
#include "proxy/context.h"
#include "proxy/h2_body.h"
#include "proxy/input.h"

namespace weir::proxy {

/// One stream as its connection sees it. Owned by whoever made it in begin_stream(); the connection
/// knows it until closed(), or until it has ended itself.
class H2Stream : public ListNode<H2Stream> {
 public:
  H2Stream(io::Loop& loop, H2Flow& flow, std::int32_t number, const BodyCauses& causes)
      : id(number), reader(loop, flow, causes), writer(loop, flow) {
    reader.listen_beside(writer.moved());
  }
  virtual ~H2Stream() = default;

  /// A field of a head, or of the trailers. Views live until return.
  virtual void field(Bytes name, Bytes value) = 0;
  /// The head cannot be used, for this reason; it is complete nonetheless when that is said.
  virtual void spoiled(Cause why) = 0;
  /// A head, or the trailers, are complete. `end`: the peer's message is, too.
  enum class End : std::uint8_t { no, yes };
  virtual void fields_complete(End end) = 0;
  /// The stream is no more; what waits on it ends. `code`: RFC 9113 section 7.
  virtual void closed(std::uint32_t code) = 0;

  std::int32_t id;             ///< 0: it has none yet
  bool reset_by_peer = false;  ///< and not by us or the codec
  bool end_sent = false;       ///< of our message
  bool unwanted = false;       ///< what the peer still sends, when our message has ended
  H2BodyReader reader;
  H2BodyWriter writer;
};

/// What the peer's failures are called, on either side. Static.
struct H2Causes {
  Cause head_timeout;
  Cause protocol;
  Cause flood;
};

class H2Session : public H2Flow, private Input::Watcher {
 public:
  enum class Side : std::uint8_t { server, client };

  // H2Flow
  void consumed(std::int32_t stream, std::size_t count) override;
  std::uint32_t widen(std::int32_t stream, std::uint32_t window) override;
  void narrow(std::uint32_t by) override;
  void resume(std::int32_t stream) override;

  /// Begins a message: its head, and its body as stream.writer gives it.
  enum class Body : std::uint8_t { none, follows };
  void submit_response(H2Stream& stream, const http::H2Fields& head, Body body);
  /// Begins a stream, and gives it its number.
  void submit_request(H2Stream& stream, const http::H2Fields& head, Body body);
  /// An informational head.
  void submit_interim(H2Stream& stream, const http::H2Fields& head);
  /// Ends a stream in both directions, visibly. RFC 9113 section 6.4.
  void reset(std::int32_t stream, std::uint32_t code);
  /// The same with NO_ERROR, as soon as our message has been sent to its end: RFC 9113 section 8.1.
  void refuse_rest(H2Stream& stream);

 protected:
  /// Takes over a connection: the socket and the bytes; what else is known of it is left.
  H2Session(Context& context, Accepted&& accepted, Side side, const H2Causes& causes);
  ~H2Session();

  /// Begins with what was received before, if anything was.
  /// `window`: how much of all streams together the peer may send ahead.
  void begin(std::span<const nghttp2_settings_entry> settings, std::int32_t window);
  [[nodiscard]] io::Stream& stream() { return wire_.stream(); }
  [[nodiscard]] const io::Stream& stream() const { return wire_.stream(); }
  [[nodiscard]] const Wire& wire() const { return wire_; }
  /// No frame is sent or received any more: streams are as good as closed.
  [[nodiscard]] bool ended() const { return lost_ || frames_end_; }
  [[nodiscard]] bool lost() const { return lost_; }
  /// Something was gathered that the stream has not taken yet.
  [[nodiscard]] bool sending() const { return sending_; }
  /// A stream that is begun here now may be answered.
  [[nodiscard]] bool takes_streams() const;
  /// So much waits to be sent that what can be left out should be.
  [[nodiscard]] bool crowded() const;
  /// Says that no further stream is taken. `last`: with the number of the last one that was.
  enum class Goaway : std::uint8_t { notice, last };
  void go_away(Goaway which, std::uint32_t code);
  /// Ends everything now, with `why`.
  void lose(Error why);
  /// How many streams the peer allows at once.
  [[nodiscard]] std::size_t peer_streams_max() const;
  /// How long the peer has taken nothing of what waits for it. Costs a system call.
  [[nodiscard]] Micros send_stall() const;
  /// Sends what waits, at the end of this turn.
  void schedule_output();
  /// Which deadline the receive that is under way has.
  void update_deadline();
  [[nodiscard]] std::uint64_t bytes_sent() const { return bytes_sent_; }
  /// Tells over() in its own time, once there is nothing left to do.
  void check_end();

  // What a side makes of it.
  /// The peer begins a stream; nullptr refuses it.
  virtual H2Stream* begin_stream(std::int32_t id) = 0;
  [[nodiscard]] virtual bool busy() const = 0;    ///< streams are open, or not finished with
  virtual void connection_failed(Error why) = 0;  ///< every stream ends with it
  virtual void peer_ended() = 0;                  ///< it sends nothing more, and may still read
  virtual void settings_came() = 0;               ///< the peer says what it takes
  virtual void going_away() = 0;                  ///< the peer takes no further streams
  /// Nothing is under way any more. Deletes this.
  virtual void over() = 0;
  [[nodiscard]] virtual Millis write_stall() const = 0;
  /// The deadline of a receive while no head is incomplete. Zero: none.
  [[nodiscard]] virtual Millis idle_stall() const = 0;
  [[nodiscard]] virtual std::size_t head_size_max() const = 0;
  /// From the first frame of a head to its last; a total.
  [[nodiscard]] virtual Millis head_timeout() const = 0;

 private:
  friend struct H2Callbacks;
  struct Deleter {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };
  struct Turn : Runnable {
    H2Session* self = nullptr;
  };
  struct Send : io::SendOp {
    H2Session* self = nullptr;
  };

  void input_arrived() override;
  void receive();
  void take_apart();
  void arm();
  void output();
  void gather();
  void sent();
  void receive_failed(const Error& error);
  void terminate(std::uint32_t code, Cause why);
  void count_idle_frame();
  void drop_input();
  void linger();
  void submit_trailers(H2Stream& stream);

  Context& context_;
  const Side side_;
  const H2Causes& causes_;
  Wire wire_;
  Input input_;
  std::unique_ptr<nghttp2_session, Deleter> session_;
  io::Chunk output_;
  std::size_t output_size_ = kH2OutputMin;
  std::size_t receive_size_ = kWindowHead;
  Send send_;
  Turn output_turn_;
  Turn end_turn_;
  Instant head_due_ = kNever;  // of the head that is incomplete
  std::size_t head_size_ = 0;  // decoded bytes of it
  std::uint64_t bytes_sent_ = 0;
  std::size_t unsent_ = 0;     // heads of requests
  std::uint32_t widened_ = 0;  // by so much the windows of streams together
  std::int64_t idle_frames_ = 0;
  Instant idle_counted_{};
  bool sending_ = false;
  bool full_ = false;        // there is more than the output has room for
  bool lost_ = false;        // nothing can be sent or received any more
  bool frames_end_ = false;  // both sides have said all
  bool peer_ended_ = false;  // nothing is received any more
  bool farewell_ = false;    // the peer was told that no further stream is taken
  bool terminated_ = false;  // by an error: the peer gets time to read why
  bool lingering_ = false;   // what is received is dropped
  std::size_t dropped_ = 0;
  Instant linger_due_{};
  Cause terminated_by_ = Cause::none;
};

}  // namespace weir::proxy
