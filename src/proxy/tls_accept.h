// SPDX-License-Identifier: Apache-2.0
//
// A client's connection during its TLS handshake. Then it becomes what the listener and ALPN say:
// HTTP/2, HTTP/1, or bytes for an upstream.
#pragma once

#include <memory>

#include "proxy/accepted.h"
#include "proxy/connection.h"
#include "proxy/context.h"
#include "proxy/handler.h"

namespace weir::tls {
class ServerContext;
}

namespace weir::proxy {

class Upstream;

/// What a listener with TLS makes of its connections.
struct TlsService {
  std::shared_ptr<const tls::ServerContext> context;  ///< nullptr: it has no certificate
  std::shared_ptr<Upstream> tcp;                      ///< nullptr: HTTP
  Handler* handler = nullptr;                         ///< nullptr: the proxy
};

class TlsAccept final : public Connection {
 public:
  /// Takes over an accepted socket.
  TlsAccept(Context& context, Accepted accepted, TlsService service);
  ~TlsAccept() override;

  void start() override { context_.scope.spawn(&TlsAccept::serve, this); }
  void drain() override { draining_ = true; }  // what it becomes is drained
  void abort(Error why) override;
  [[nodiscard]] bool idle() const override;
  [[nodiscard]] Micros stall() const override { return Micros(0); }

 private:
  Task<> serve();
  Task<Result<void>> shake();
  Task<std::size_t> answer_plain_http();
  Task<> let_read();
  void become_next();
  Connection* next();
  void log(const Error& error, std::size_t answered);

  Context& context_;
  io::TcpStream tcp_;
  std::unique_ptr<tls::Stream> tls_;  // nullptr: there is no certificate; ends before tcp_
  TlsService service_;
  io::Peer peer_;
  std::unique_ptr<Arrival> arrival_;
  Instant accepted_;
  bool draining_ = false;
  bool aborted_ = false;
};

}  // namespace weir::proxy
