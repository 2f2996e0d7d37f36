// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include "async/scope.h"
#include "io/listener.h"
#include "io/ring_io.h"
#include "io/tcp_stream.h"

namespace weir::io {
namespace {

constexpr Millis kPatience{1000};
constexpr std::string_view kText = "weir";

struct Accepting : AcceptOp {
  Io& io;
  Socket& listener;
  Accepting(Io& i, Socket& l) : io(i), listener(l) {}
  bool await_ready() { return io.start_accept(listener, *this); }
  void await_suspend(std::coroutine_handle<> handle) { waiter = handle; }
  Result<int> await_resume() { return result; }
};

Task<Result<void>> echo(Loop& loop, Socket& listener) {
  Accepting accepting(loop.io(), listener);
  WEIR_CO_TRY(fd, co_await accepting);
  TcpStream stream(loop, loop.io().adopt(fd));
  WEIR_CO_TRY(chunk, co_await stream.recv(kWindowHead, kPatience));
  const std::array<Bytes, 4> pieces = {chunk.bytes(), {}, {}, {}};
  Result<void> sent = co_await stream.send(pieces, kPatience);
  co_return sent;
}

Task<Result<void>> ask(Loop& loop, SocketAddress target) {
  WEIR_CO_TRY(socket, co_await connect(loop, target, kPatience));
  TcpStream stream(loop, socket);
  const std::array<Bytes, 4> pieces = {kText, {}, {}, {}};
  const Result<void> sent = co_await stream.send(pieces, kPatience);
  if (!sent) co_return sent;
  WEIR_CO_TRY(chunk, co_await stream.recv(kWindowHead, kPatience));
  if (chunk.bytes() != kText) co_return fail(Code::os, "self-test", EIO);
  co_return Result<void>{};
}

struct Outcome {
  int running = 2;
  Result<void> result;
};

Task<> serve(Loop* loop, Socket* listener, Outcome* outcome) {
  Result<void> result = co_await echo(*loop, *listener);
  if (!result) outcome->result = result;
  --outcome->running;
}

Task<> request(Loop* loop, Socket* listener, Outcome* outcome) {
  Result<void> result = co_await ask(*loop, SocketAddress::of_socket(listener->fd));
  if (!result) {
    outcome->result = result;
    loop->io().cancel_recv(*listener, result.error());
  }
  --outcome->running;
}

}  // namespace

Result<void> ring_self_test() {
  Loop loop(1_MiB);
  WEIR_TRY(io, make_ring_io(loop));
  loop.attach(std::move(io));
  WEIR_TRY(any, SocketAddress::from_ip("127.0.0.1", 0));
  WEIR_TRY(fd, listen_on(any, 1, 0));
  Socket* listener = loop.io().adopt_listener(fd);
  Outcome outcome;
  {
    Scope scope(loop.queue);
    scope.spawn(serve, &loop, listener, &outcome);
    scope.spawn(request, &loop, listener, &outcome);
    while (outcome.running > 0) loop.turn(loop.now() + Millis(10));
  }
  loop.io().close(*listener);
  return outcome.result;
}

}  // namespace weir::io
