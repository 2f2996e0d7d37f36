// SPDX-License-Identifier: Apache-2.0
//
// Plain TCP: a client's connection joined with one to a server, both directions until each is ended
// by its sender. The bytes are those of a tunnel (h1_body.h): half-closes are passed on, and only
// silence in both directions is idleness.
#pragma once

#include <memory>
#include <string>

#include "async/scope.h"
#include "proxy/connection.h"
#include "proxy/h1_body.h"
#include "proxy/pump.h"
#include "proxy/snapshot.h"

namespace weir::proxy {

class TcpSession final : public Connection {
 public:
  TcpSession(Context& context, Accepted accepted, std::shared_ptr<Upstream> upstream);
  ~TcpSession() override;

  void start() override { context_.scope.spawn(&TcpSession::run, this); }
  void drain() override {}  // it ends when its peers end it, or when the drain's time is over
  void abort(Error why) override;
  [[nodiscard]] bool idle() const override { return false; }
  [[nodiscard]] Micros stall() const override;

 private:
  /// One end: a stream with a reader and a writer of its raw bytes.
  struct End {
    End(Context& context, Accepted accepted, const BodyCauses& causes);
    Wire wire;
    io::Stream& stream;
    Input input;
    H1BodyReader reader;
    H1BodyWriter writer;
  };

  static Task<> run(TcpSession* self);
  Task<> serve();
  Task<Result<Accepted>> connect();
  [[nodiscard]] std::unique_ptr<const Ends> told_ends() const;
  static Task<> upload(TcpSession* self);
  Task<> move(End& from, End& to, Cause writer_gone);
  void end(Error why);
  void log();

  Context& context_;
  std::shared_ptr<Snapshot> snapshot_;
  std::shared_ptr<Upstream> upstream_;
  std::shared_ptr<Endpoint> endpoint_;
  io::Peer peer_;
  std::string peer_text_;
  std::unique_ptr<Arrival> arrival_;
  End client_;
  Connecting connecting_;
  std::unique_ptr<End> server_;
  Activity activity_;
  Scope uploads_;
  Instant started_;
  WallTime started_wall_;
  Micros connect_{-1};
  Cause cause_ = Cause::none;
  const char* detail_ = "";  // static text
  Error aborted_{};
  int retries_ = 0;
};

}  // namespace weir::proxy
