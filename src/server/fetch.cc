// SPDX-License-Identifier: Apache-2.0
#include "server/fetch.h"

#include <fmt/format.h>

#include "http/h1_parse.h"
#include "io/select_backend.h"
#include "proxy/h1_body.h"

namespace weir::server {
namespace {

constexpr Error kTimedOut{Code::timed_out, Cause::none, 0, "the answer"};

std::unexpected<std::string> wrong(const Error& error) {
  return std::unexpected(io::describe(error));
}

}  // namespace

Fetch::Fetch(io::Loop& loop, FetchRequest request)
    : Timer([](Timer& timer) { static_cast<Fetch&>(timer).cancel(kTimedOut); }),
      loop_(loop),
      request_(std::move(request)) {}

void Fetch::cancel(Error why) {
  connecting_.cancel(why);
  if (stream_ != nullptr) stream_->cancel(why);
}

Task<std::expected<std::string, std::string>> Fetch::run() {
  loop_.timers().arm(*this, loop_.now() + request_.timeout);
  Result<io::Socket*> socket =
      co_await io::connect(loop_, request_.address, request_.timeout, &connecting_);
  if (!socket) co_return wrong(socket.error());
  io::TcpStream stream(loop_, *socket);
  if (connecting_.cancelled()) co_return wrong(kTimedOut);
  stream_ = &stream;
  std::expected<std::string, std::string> answer = co_await talk(stream);
  stream_ = nullptr;
  co_return answer;
}

Task<std::expected<std::string, std::string>> Fetch::talk(io::TcpStream& stream) {
  const std::string head = fmt::format(
      "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: weir/{}\r\nContent-Type: {}\r\n"
      "Content-Length: {}\r\nConnection: close\r\n\r\n",
      request_.target, request_.host, WEIR_VERSION, request_.content_type, request_.body.size());
  Result<void> sent = co_await stream.send({head, request_.body, {}, {}}, request_.timeout);
  if (!sent) co_return wrong(sent.error());
  const http::HeadLimits limits;
  proxy::Input input(stream);
  proxy::H1BodyReader reader(input, nullptr, proxy::kUpstreamBody);
  http::ResponseHead response;
  std::size_t scanned = 0;
  io::Chunk under_head;
  while (under_head.empty()) {
    const Result<std::size_t> size =
        http::parse_response_head(input.view(), limits, http::Method::post, scanned, response);
    if (!size) co_return wrong(size.error());
    if (*size > 0 && response.status < 200) {  // interim
      input.consume(*size);
      scanned = 0;
    } else if (*size > 0) {
      under_head = input.pin(*size);
    } else {
      Result<bool> more = co_await input.more_behind(limits.head_size, request_.timeout);
      if (!more) co_return wrong(more.error());
      if (!*more) co_return std::unexpected("it closed the connection without an answer");
    }
  }
  if (response.status != 200) {
    co_return std::unexpected(fmt::format("it answered {}", response.status));
  }
  reader.begin(response.body, limits, request_.timeout);
  std::string body;
  while (!reader.complete()) {
    Result<proxy::Piece> piece = co_await reader.read();
    const bool cut = !piece && piece.error().cause == Cause::upstream_truncated;
    if (cut) co_return std::unexpected("its answer is cut");
    if (!piece) co_return wrong(piece.error());
    body += piece->bytes;
    if (body.size() > request_.size_max) co_return std::unexpected("its answer is too large");
  }
  co_return body;
}

}  // namespace weir::server
