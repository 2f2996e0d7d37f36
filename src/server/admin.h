// SPDX-License-Identifier: Apache-2.0
//
// The admin interface: HTTP on a unix socket (or a TCP address), served by the control thread.
//     GET  /status /metrics /healthz /readyz        POST /reload /stop /reopen
#pragma once

#include "proxy/h1_server.h"

namespace weir::server {

class Server;

class Admin final : public proxy::Handler {
 public:
  explicit Admin(Server& server) : server_(server) {}
  Task<> handle(const http::RequestHead& head, proxy::BodyReader& body,
                proxy::Responder& responder) override;

 private:
  Task<> act(const http::RequestHead& head, proxy::Responder& responder);
  Server& server_;
};

}  // namespace weir::server
