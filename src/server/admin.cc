// SPDX-License-Identifier: Apache-2.0
#include "server/admin.h"

#include <nlohmann/json.hpp>

#include "server/prometheus.h"
#include "server/reply.h"
#include "server/server.h"
#include "server/status_json.h"

namespace weir::server {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kIndex =
    "Weir's admin interface\n\n"
    "GET  /status   what is running, as JSON\n"
    "GET  /metrics  counters for Prometheus\n"
    "GET  /healthz  200 while the process lives\n"
    "GET  /readyz   200 while it takes requests, 503 when it is stopping\n"
    "POST /reload   read the configuration again; 422 and the reason when it is bad\n"
    "POST /stop     drain and exit\n"
    "POST /reopen   open log files again\n";

}  // namespace

Task<> Admin::handle(const http::RequestHead& head, proxy::BodyReader&,
                     proxy::Responder& responder) {
  const std::string_view path = head.path;
  if (head.method == http::Method::post) {
    co_await act(head, responder);
  } else if (head.method != http::Method::get && head.method != http::Method::head) {
    co_await reply(responder, head, 405, kText, "GET, HEAD or POST\n");
  } else if (path == "/status") {
    const std::string body =
        status_json(server_.metrics().snapshot(), server_.process_status()).dump(2) + "\n";
    co_await reply(responder, head, 200, "application/json", body);
  } else if (path == "/metrics") {
    const std::string body =
        render_prometheus(server_.metrics().snapshot(), server_.process_status());
    co_await reply(responder, head, 200, kPrometheusContentType, body);
  } else if (path == "/healthz") {
    co_await reply(responder, head, 200, kText, "ok\n");
  } else if (path == "/readyz") {
    const bool ready = !server_.draining();
    co_await reply(responder, head, ready ? 200 : 503, kText, ready ? "ready\n" : "stopping\n");
  } else if (path == "/") {
    co_await reply(responder, head, 200, kText, kIndex);
  } else {
    co_await reply(responder, head, 404, kText, kIndex);
  }
}

Task<> Admin::act(const http::RequestHead& head, proxy::Responder& responder) {
  // A page in somebody's browser must not be able to stop a Weir that listens on loopback.
  if (head.fields.find("Origin") != nullptr) {
    co_await reply(responder, head, 403, kText, "not for browsers\n");
  } else if (head.path == "/reload") {
    const Reloaded reloaded = server_.reload();
    co_await reply(responder, head, reloaded.ok ? 200 : 422, kText, reloaded.text);
  } else if (head.path == "/stop") {
    server_.stop();
    co_await reply(responder, head, 202, kText, "stopping\n");
  } else if (head.path == "/reopen") {
    server_.reopen_logs();
    co_await reply(responder, head, 200, kText, "reopened\n");
  } else {
    co_await reply(responder, head, 404, kText, kIndex);
  }
}

}  // namespace weir::server
