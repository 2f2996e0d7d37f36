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
    End(Context& context, io::Socket* socket, const BodyCauses& causes);
    io::TcpStream stream;
    Input input;
    H1BodyReader reader;
    H1BodyWriter writer;
  };

  static Task<> run(TcpSession* self);
  Task<> serve();
  Task<Result<io::Socket*>> connect();
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
  std::unique_ptr<const io::Peer> destination_;  // where the client connected to, if that was told
  std::string name_;                             // that a ClientHello wants
  End client_;
  io::ConnectHandle connecting_;
  std::unique_ptr<End> server_;
  Activity activity_;
  Scope uploads_;
  Instant started_;
  WallTime started_wall_;
  Micros connect_{-1};
  Cause cause_ = Cause::none;
  Error aborted_{};
  int retries_ = 0;
};

}  // namespace weir::proxy
