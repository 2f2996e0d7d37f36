// SPDX-License-Identifier: Apache-2.0
//
// HTTP/1 bodies on a connection: by length, chunked, or until close (RFC 9112 section 6.3), and the
// raw bytes of a tunnel, which are a body until close in both directions.
#pragma once

#include <memory>
#include <string>

#include "http/chunked.h"
#include "http/encode.h"
#include "proxy/body.h"
#include "proxy/context.h"
#include "proxy/input.h"

namespace weir::proxy {

/// The causes of one side of the proxy, for what can go wrong with a body.
struct BodyCauses {
  Cause timeout;
  Cause truncated;
  Cause malformed;
};
inline constexpr BodyCauses kClientBody = {Cause::client_body_timeout, Cause::client_body_truncated,
                                           Cause::bad_chunk};
inline constexpr BodyCauses kUpstreamBody = {Cause::upstream_body_timeout,
                                             Cause::upstream_truncated, Cause::upstream_bad_chunk};

/// When a tunnel last moved, in either direction: silence of one of them is not idleness.
struct Activity {
  Instant moved{};
};

class H1BodyReader final : public BodyReader {
  struct Decoder : http::ChunkedDecoder, Pooled {
    using ChunkedDecoder::ChunkedDecoder;
  };

 public:
  /// `plain`: the connection's socket if its bytes are the stream's bytes, for splice.
  H1BodyReader(Input& input, io::TcpStream* plain, const BodyCauses& causes)
      : input_(input), plain_(plain), causes_(causes) {}

  /// Begins a body. Its first bytes may be in the input already.
  void begin(const http::BodyLength& length, const http::HeadLimits& limits, Millis stall);
  /// Begins the raw bytes of a tunnel.
  void begin_tunnel(Activity& activity, Millis idle);
  /// More than so many bytes are refused with `cause`. 0: no limit.
  void limit(std::uint64_t bytes, Cause cause) {
    limit_ = bytes;
    over_limit_ = cause;
  }

  Task<Result<Piece>> read() override;
  [[nodiscard]] bool ready() const override;
  [[nodiscard]] bool complete() const override { return complete_; }
  [[nodiscard]] const http::FieldList& trailers() const override;
  PlainRun plain_run() override;
  Result<Piece> spliced(std::uint64_t bytes, Ended ended) override;
  Error splice_failed(const Error& error) override { return failure(error); }
  Instant* moved_at() override { return activity_ != nullptr ? &activity_->moved : nullptr; }
  [[nodiscard]] Millis stall() const override { return stall_; }

  [[nodiscard]] std::uint64_t received() const { return received_; }
  /// The peer has not kept to its part: what is still to come is not to be waited for.
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  Task<Result<bool>> fill();
  Error failure(const Error& error);
  [[nodiscard]] Error meaning(const Error& error) const;
  Result<Piece> take_known();
  Result<Piece> take_chunked();
  Result<Piece> take_until_close();
  Result<Piece> account(Piece piece);
  void adapt_window();

  Input& input_;
  io::TcpStream* plain_;
  BodyCauses causes_;
  http::BodyLength::Kind kind_ = http::BodyLength::Kind::none;
  bool complete_ = true;
  bool failed_ = false;
  Cause over_limit_ = Cause::none;
  std::uint64_t remaining_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t limit_ = 0;
  std::size_t window_ = kWindowStart;
  Millis stall_{0};
  Activity* activity_ = nullptr;
  std::unique_ptr<Decoder> chunked_;
};

class H1BodyWriter final : public BodyWriter {
 public:
  H1BodyWriter(io::Stream& stream, io::TcpStream* plain, TextPool& texts)
      : stream_(stream), plain_(plain), texts_(texts) {}
  ~H1BodyWriter() override { drop_head(); }

  /// Where the head of the next message is encoded to, before begin(): an empty string with room.
  std::string& new_head();
  /// Begins a message whose head was encoded; it leaves with the first bytes of the body.
  void begin(const http::BodyLength& length, Millis stall);
  void begin_tunnel(Activity& activity, Millis idle);
  /// Behind begin(): our direction of the connection ends with the message, and its end (FIN)
  /// leaves with the last bytes: a packet of its own would cost both sides a wake-up.
  void end_with_message() { ends_ = true; }
  /// Behind begin(): what the head says of trailers. Its edits live as long as the exchange.
  void rule_trailers(http::TrailerRules rules) { trailer_rules_ = std::move(rules); }

  Task<Result<void>> write(Bytes bytes) override;
  Task<Result<void>> finish(Bytes bytes, const http::FieldList* trailers) override;
  Task<Result<void>> flush() override;
  io::TcpStream* plain_sink() override;
  void spliced(std::uint64_t bytes) override;

  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] Millis stall() const override { return stall_; }

 private:
  struct Sending;
  Sending send(Bytes line, Bytes bytes, Bytes end, io::SendOp::More more = io::SendOp::More::no);
  void drop_head();

  io::Stream& stream_;
  io::TcpStream* plain_;
  TextPool& texts_;
  std::string head_;  // with room only while there is a head: many connections wait at once
  http::BodyLength::Kind kind_ = http::BodyLength::Kind::none;
  bool complete_ = true;
  bool ends_ = false;
  std::uint64_t remaining_ = 0;
  std::uint64_t sent_ = 0;
  Millis stall_{0};
  Activity* activity_ = nullptr;
  http::TrailerRules trailer_rules_;
};

}  // namespace weir::proxy
