// SPDX-License-Identifier: Apache-2.0
//
// The origin of `weir demo`: the page and the paths behind its cards (demo_page.h lists them).
// Served by the control thread, behind Weir's own workers.
#pragma once

#include "proxy/h1_server.h"

namespace weir::server {

class Server;

class DemoOrigin final : public proxy::Handler {
 public:
  explicit DemoOrigin(Server& server) : server_(server) {}
  Task<> handle(const http::RequestHead& head, proxy::BodyReader& body,
                proxy::Responder& responder) override;

 private:
  Task<> headers(const http::RequestHead& head, proxy::Responder& responder);
  Task<> bytes(const http::RequestHead& head, std::uint64_t size, proxy::Responder& responder);
  Task<> lines(proxy::Responder& responder, std::string_view content_type, std::string_view prefix,
               int count, Millis pause);
  Task<> upload(const http::RequestHead& head, proxy::BodyReader& body,
                proxy::Responder& responder);
  Task<> echo(const http::RequestHead& head, proxy::BodyReader& body, proxy::Responder& responder);

  Server& server_;
};

}  // namespace weir::server
