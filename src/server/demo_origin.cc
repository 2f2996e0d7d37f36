// SPDX-License-Identifier: Apache-2.0
#include "server/demo_origin.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "proxy/websocket_key.h"
#include "server/demo_page.h"
#include "server/reply.h"
#include "server/server.h"
#include "server/status_json.h"
#include "server/websocket.h"

namespace weir::server {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::size_t kPattern = 64_KiB;
constexpr int kLines = 10;
constexpr int kEvents = 3600;
constexpr Millis kLinePause{500};
constexpr Millis kEventPause{1000};
constexpr Millis kEchoIdle{600'000};

// The bytes of /demo/bytes: the same 64 KiB over and over.
std::string pattern() {
  std::string text(kPattern, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  return text;
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    WEIR_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void update(Bytes bytes) { EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()); }
  std::string hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
};

std::string_view value_of(const http::RequestHead& head, std::string_view name) {
  const http::Field* field = head.fields.find(name);
  return field == nullptr ? std::string_view{} : field->value;
}

}  // namespace

Task<> DemoOrigin::handle(const http::RequestHead& head, proxy::BodyReader& body,
                          proxy::Responder& responder) {
  constexpr std::string_view kBytesPath = "/demo/bytes/";
  const std::string_view path = head.path;
  if (path == "/") {
    co_await reply(responder, head, 200, "text/html; charset=utf-8", demo_page());
  } else if (path == "/demo/headers") {
    co_await headers(head, responder);
  } else if (path.starts_with(kBytesPath)) {
    const auto size = parse_u64(path.substr(kBytesPath.size()));
    if (size) {
      co_await bytes(head, *size, responder);
    } else {
      co_await reply(responder, head, 400, kText, "/demo/bytes/N\n");
    }
  } else if (path == "/demo/slow") {
    co_await lines(responder, kText, "line ", kLines, kLinePause);
  } else if (path == "/demo/events") {
    co_await lines(responder, "text/event-stream", "data: event ", kEvents, kEventPause);
  } else if (path == "/demo/upload") {
    co_await upload(head, body, responder);
  } else if (path == "/demo/echo") {
    co_await echo(head, body, responder);
  } else if (path == "/demo/stats") {
    const std::string text =
        status_json(server_.metrics().snapshot(), server_.process_status()).dump();
    co_await reply(responder, head, 200, kJson, text);
  } else {
    co_await reply(responder, head, 404, kText, "the demo has no such page; try /\n");
  }
}

Task<> DemoOrigin::headers(const http::RequestHead& head, proxy::Responder& responder) {
  nlohmann::json fields = nlohmann::json::array();
  for (const http::Field& field : head.fields) {
    fields.push_back({std::string(field.name), std::string(field.value)});
  }
  const nlohmann::json answer = {{"method", std::string(head.method_name)},
                                 {"target", std::string(head.target)},
                                 {"headers", fields}};
  const std::string text =
      answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  co_await reply(responder, head, 200, kJson, text);
}

Task<> DemoOrigin::bytes(const http::RequestHead& head, std::uint64_t size,
                         proxy::Responder& responder) {
  http::ResponseHead response;
  response.status = 200;
  response.fields.push_back({"Content-Type", "application/octet-stream"});
  const bool bodiless = head.method == http::Method::head;
  responder.start(response, {},
                  bodiless ? http::BodyLength::none() : http::BodyLength::known(size));
  const std::string block = pattern();
  std::uint64_t left = bodiless ? 0 : size;
  while (left > block.size()) {
    Result<void> sent = co_await responder.write(block);
    if (!sent) {
      responder.abort(sent.error());
      co_return;
    }
    left -= block.size();
    co_await yield(server_.loop().queue);  // the control thread has other things to do as well
  }
  Result<void> sent = co_await responder.finish(std::string_view(block).substr(0, left), nullptr);
  if (!sent) responder.abort(sent.error());
}

Task<> DemoOrigin::lines(proxy::Responder& responder, std::string_view content_type,
                         std::string_view prefix, int count, Millis pause) {
  http::ResponseHead response;
  response.status = 200;
  response.fields.push_back({"Content-Type", content_type, http::FieldId::content_type});
  response.fields.push_back({"Cache-Control", "no-store"});
  responder.start(response, {}, http::BodyLength::chunked());
  const std::string_view end = content_type == kText ? "\n" : "\n\n";
  for (int i = 1; i <= count && !server_.draining(); ++i) {
    const std::string line = fmt::format("{}{} of {}{}", prefix, i, count, end);
    Result<void> sent = co_await responder.write(line);
    if (!sent) {
      responder.abort(sent.error());
      co_return;
    }
    io::Loop& loop = server_.loop();
    if (i < count) co_await io::sleep_until(loop, loop.now() + pause);
  }
  Result<void> sent = co_await responder.finish({}, nullptr);
  if (!sent) responder.abort(sent.error());
}

Task<> DemoOrigin::upload(const http::RequestHead& head, proxy::BodyReader& body,
                          proxy::Responder& responder) {
  Sha256 hash;
  std::uint64_t size = 0;
  while (!body.complete()) {
    Result<proxy::Piece> piece = co_await body.read();
    if (!piece) {
      responder.abort(piece.error());
      co_return;
    }
    hash.update(piece->bytes);
    size += piece->bytes.size();
  }
  const nlohmann::json answer = {{"bytes", size}, {"sha256", hash.hex()}};
  const std::string text = answer.dump() + "\n";
  co_await reply(responder, head, 200, kJson, text);
}

Task<> DemoOrigin::echo(const http::RequestHead& head, proxy::BodyReader& body,
                        proxy::Responder& responder) {
  const std::string_view key = value_of(head, "Sec-WebSocket-Key");
  if (head.upgrade.empty() || key.empty()) {
    co_await reply(responder, head, 426, kText, "this path speaks WebSocket\n");
    co_return;
  }
  http::ResponseHead response;
  response.status = 101;
  response.upgrade = "websocket";
  const std::string accept = proxy::websocket_accept(key);
  response.fields.push_back({"Sec-WebSocket-Accept", accept});
  proxy::Activity activity{server_.loop().now()};
  responder.start_tunnel(response, {}, activity, kEchoIdle);
  Result<void> alive = co_await responder.flush();
  WebSocketReader reader;
  std::string out;
  bool closing = false;
  while (alive && !closing) {
    Result<proxy::Piece> piece = co_await body.read();
    if (!piece || piece->last) break;
    std::string_view input = piece->bytes;
    while (auto event = reader.next(input)) {
      switch (event->kind) {
        case WebSocketEvent::Kind::message: append_frame(out, event->opcode, event->payload); break;
        case WebSocketEvent::Kind::ping:
          append_frame(out, WebSocketOpcode::pong, event->payload);
          break;
        case WebSocketEvent::Kind::pong: break;
        case WebSocketEvent::Kind::close:
        case WebSocketEvent::Kind::failed:
          append_close(out, event->close_code);
          closing = true;
          break;
      }
      if (closing) break;
    }
    if (!out.empty()) alive = co_await responder.write(out);
    out.clear();
  }
  if (alive) alive = co_await responder.finish({}, nullptr);
  if (!alive) responder.abort(alive.error());
}

}  // namespace weir::server
