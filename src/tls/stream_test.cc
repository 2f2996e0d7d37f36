// SPDX-License-Identifier: Apache-2.0
//
// TLS streams on each backend, with OpenSSL as the client at the other end of a connection.
#include "tls/stream.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/io_world_test.h"
#include "tls/peer_for_test.h"

namespace weir::tls {
namespace {

using io::kind_name;
using io::kinds;
using io::pattern;
using io::World;

constexpr Millis kLong{9'000};

struct Outcome {
  bool done = false;
  Error error{};  // where != nullptr: it failed
  std::string bytes;
  bool end = false;
};

// A client: OpenSSL between coroutines and a TCP stream.
struct Client {
  Client(PeerContext& context, io::TcpStream& tcp) : peer(context), stream(tcp) {}
  Peer peer;
  io::TcpStream& stream;
  bool gone = false;  // the connection has ended
};

Task<> put(Client* client) {
  const std::string bytes = client->peer.output();
  if (bytes.empty()) co_return;
  const std::array<Bytes, 4> pieces = {Bytes(bytes), {}, {}, {}};
  const Result<void> sent = co_await client->stream.send(pieces, kLong);
  if (!sent) client->gone = true;
}

Task<> get(Client* client) {
  Result<io::Chunk> chunk = co_await client->stream.recv(16_KiB, kLong);
  if (!chunk || chunk->empty()) {
    client->gone = true;
  } else {
    client->peer.feed(chunk->bytes());
  }
}

Task<> client_shake(Client* client, bool* done) {
  while (!client->gone) {
    const bool over = client->peer.shake();
    co_await put(client);
    if (over) break;
    co_await get(client);
  }
  *done = true;
}

// What it asks leaves with its last word of the handshake.
Task<> client_asks_at_once(Client* client, bool* done) {
  while (!client->gone && !client->peer.shake()) {
    co_await put(client);
    co_await get(client);
  }
  client->peer.write("question");
  client->peer.write(" and more");
  co_await put(client);
  *done = true;
}

// Reads until the end, an error, or so many bytes.
Task<> client_read(Client* client, std::size_t limit, Outcome* out) {
  for (;;) {
    out->bytes += client->peer.read();
    out->end = client->peer.ended;
    co_await put(client);
    if (out->bytes.size() >= limit || out->end || client->peer.failed || client->gone) break;
    co_await get(client);
  }
  out->done = true;
}

Task<> client_write(Client* client, Bytes bytes, Outcome* out) {
  for (std::size_t at = 0; at < bytes.size() && !client->gone; at += 50'000) {
    client->peer.write(bytes.substr(at, 50'000));
    co_await put(client);
  }
  out->done = true;
}

Task<> server_shake(Stream* stream, Millis limit, Outcome* out) {
  const Result<void> result = co_await stream->handshake(limit);
  if (!result) out->error = result.error();
  out->done = true;
}

Task<> server_read(io::Stream* stream, std::size_t window, std::size_t limit, Outcome* out) {
  while (out->bytes.size() < limit) {
    Result<io::Chunk> chunk = co_await stream->recv(window, kLong);
    if (!chunk) {
      out->error = chunk.error();
      break;
    }
    out->bytes += chunk->bytes();
    out->end = chunk->empty();
    if (out->end) break;
  }
  out->done = true;
}

Task<> server_write(io::Stream* stream, Bytes bytes, io::SendOp::More more, Outcome* out) {
  const std::array<Bytes, 4> pieces = {
      bytes.substr(0, 10), Bytes(), bytes.substr(std::min<std::size_t>(10, bytes.size())), {}};
  const Result<void> sent = co_await stream->send(pieces, kLong, more);
  if (!sent) out->error = sent.error();
  out->done = true;
}

class StreamTest : public ::testing::TestWithParam<std::tuple<io::Kind, Dialect>> {
 protected:
  void connect(World::Pair made) {
    server.reset();  // it ends before what is below it
    client.reset();
    pair = std::move(made);
    client = std::make_unique<Client>(peers, *pair.client);
    server = std::make_unique<Stream>(context, *pair.server);
  }
  void shake() {
    bool client_done = false;
    Outcome shaken;
    world.scope.spawn(client_shake, client.get(), &client_done);
    world.scope.spawn(server_shake, server.get(), kLong, &shaken);
    ASSERT_TRUE(world.run([&] { return client_done && shaken.done; }));
    ASSERT_EQ(shaken.error.where, nullptr) << shaken.error.where;
  }
  void start() {
    connect(world.pair());
    shake();
  }

  World world{std::get<0>(GetParam())};
  std::shared_ptr<const ServerContext> context = test_context();
  PeerContext peers{std::get<1>(GetParam())};
  World::Pair pair;
  std::unique_ptr<Client> client;
  std::unique_ptr<Stream> server;
};

INSTANTIATE_TEST_SUITE_P(Backends, StreamTest,
                         ::testing::Combine(::testing::ValuesIn(kinds()),
                                            ::testing::Values(kDialects[0], kDialects[2],
                                                              kDialects[3])),
                         [](const auto& info) {
                           return kind_name(std::get<0>(info.param)) + std::get<1>(info.param).name;
                         });

TEST_P(StreamTest, BytesPassInBothDirections) {
  start();
  Outcome asked, question, answered, answer;
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{8}, &question);
  world.scope.spawn(client_write, client.get(), Bytes("question"), &asked);
  ASSERT_TRUE(world.run([&] { return question.done && asked.done; }));
  EXPECT_EQ(question.bytes, "question");
  world.scope.spawn(server_write, server.get(), Bytes("this is the answer"), io::SendOp::More::no,
                    &answered);
  world.scope.spawn(client_read, client.get(), std::size_t{18}, &answer);
  ASSERT_TRUE(world.run([&] { return answered.done && answer.done; }));
  EXPECT_EQ(answer.bytes, "this is the answer");
}

TEST_P(StreamTest, BulkPassesInBothDirectionsAtOnce) {
  connect(world.small_pair());
  shake();
  const std::string body = pattern(2_MiB + 77);
  Outcome sent, received;
  Outcome up_sent, up_received;
  for (const std::size_t window : {4_KiB, 16_KiB, 64_KiB, 256_KiB}) {
    sent = received = up_sent = up_received = {};
    world.scope.spawn(client_write, client.get(), Bytes(body), &up_sent);
    world.scope.spawn(server_read, server.get(), window, body.size(), &up_received);
    ASSERT_TRUE(world.run([&] { return up_sent.done && up_received.done; }));
    EXPECT_TRUE(up_received.bytes == body) << window;
    world.scope.spawn(server_write, server.get(), Bytes(body), io::SendOp::More::no, &sent);
    world.scope.spawn(client_read, client.get(), body.size(), &received);
    ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
    EXPECT_TRUE(received.bytes == body) << window;
  }
}

TEST_P(StreamTest, RecordsAreAsSmallAsTheClientAskedFor) {
  SSL_CTX_set_tlsext_max_fragment_length(peers.context.get(), TLSEXT_max_fragment_length_1024);
  start();
  const std::string body = pattern(200'000);
  Outcome sent, received;
  world.scope.spawn(server_write, server.get(), Bytes(body), io::SendOp::More::no, &sent);
  world.scope.spawn(client_read, client.get(), body.size(), &received);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_TRUE(received.bytes == body) << client->peer.reason;
}

TEST_P(StreamTest, WhatWasReceivedBeforeIsTheBegin) {
  connect(world.pair());
  client->peer.shake();
  const std::string hello = client->peer.output();
  io::Chunk chunk;
  ASSERT_TRUE(world.loop.chunks.allocate(4_KiB, chunk));
  std::ranges::copy(hello, chunk.room().begin());
  chunk.grow(hello.size());
  server->give_first(std::move(chunk));
  shake();
}

TEST_P(StreamTest, TheFirstRequestComesWithTheFinished) {
  // In TLS 1.2 the client has the last word only where a session is resumed.
  for (int round = 0; round < 2; ++round) {
    connect(world.pair());
    Outcome shaken, question;
    world.scope.spawn(server_shake, server.get(), kLong, &shaken);
    bool done = false;
    world.scope.spawn(client_asks_at_once, client.get(), &done);
    ASSERT_TRUE(world.run([&] { return done && shaken.done; }));
    world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{17}, &question);
    ASSERT_TRUE(world.run([&] { return question.done; }));
    EXPECT_EQ(question.bytes, "question and more");
    EXPECT_EQ(server->facts().resumed, round == 1);
    Outcome sent, received;
    world.scope.spawn(server_write, server.get(), Bytes("answer"), io::SendOp::More::no, &sent);
    world.scope.spawn(client_read, client.get(), std::size_t{6}, &received);
    ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  }
}

// A packet of its own would wake the client for nothing.
TEST_P(StreamTest, TicketsLeaveWithTheFirstContent) {
  start();
  const bool tls13 = server->facts().version == "TLSv1.3";
  Outcome waits, received, sent, told;
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{2}, &waits);
  world.scope.spawn(client_read, client.get(), std::size_t{6}, &received);
  world.turns(20);
  EXPECT_EQ(peers.session != nullptr, !tls13) << "in TLS 1.2 it is part of the handshake";
  world.scope.spawn(server_write, server.get(), Bytes("answer"), io::SendOp::More::no, &sent);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(received.bytes, "answer");
  EXPECT_NE(peers.session, nullptr);
  world.scope.spawn(client_write, client.get(), Bytes("ok"), &told);
  EXPECT_TRUE(world.run([&] { return waits.done && told.done; }));
}

TEST_P(StreamTest, TicketsLeaveBeforeAnEndWithoutContent) {
  start();
  Outcome received;
  world.scope.spawn(client_read, client.get(), std::size_t{1}, &received);
  world.turns(5);
  server->shutdown_write();
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_TRUE(received.end);
  EXPECT_NE(peers.session, nullptr);
}

TEST_P(StreamTest, AStreamThatWaitsHoldsNoChunk) {
  start();
  Outcome received;
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{6}, &received);
  world.turns(20);
  EXPECT_EQ(world.loop.chunks.used(), 0u);
  Outcome sent;
  world.scope.spawn(client_write, client.get(), Bytes("there!"), &sent);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(world.loop.chunks.used(), 0u);
}

TEST_P(StreamTest, ACloseNotifyIsAnEndEachTime) {
  start();
  SSL_shutdown(client->peer.ssl.get());
  bool put_done = false;
  world.scope.spawn(client_shake, client.get(), &put_done);
  ASSERT_TRUE(world.run([&] { return put_done; }));
  for (int i = 0; i < 2; ++i) {
    Outcome end;
    world.scope.spawn(server_read, server.get(), kWindowHead, 1_MiB, &end);
    ASSERT_TRUE(world.run([&] { return end.done; }));
    EXPECT_TRUE(end.end);
    EXPECT_EQ(end.error.where, nullptr);
  }
  // The other direction goes on.
  Outcome sent, received;
  world.scope.spawn(server_write, server.get(), Bytes("and still there"), io::SendOp::More::no,
                    &sent);
  world.scope.spawn(client_read, client.get(), std::size_t{15}, &received);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(received.bytes, "and still there");
}

TEST_P(StreamTest, AConnectionThatEndsWithoutOneIsCut) {
  start();
  Outcome sent;
  world.scope.spawn(client_write, client.get(), Bytes("the first half"), &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  pair.client->close(io::Stream::Close::orderly);
  Outcome received;
  world.scope.spawn(server_read, server.get(), kWindowHead, 1_MiB, &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_EQ(received.bytes, "the first half");
  EXPECT_FALSE(received.end);
  EXPECT_EQ(received.error.code, Code::closed);
}

TEST_P(StreamTest, TheEndLeavesWithTheLastBytes) {
  start();
  Outcome sent, received;
  world.scope.spawn(server_write, server.get(), Bytes("the last bytes"), io::SendOp::More::end,
                    &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  server->shutdown_write();
  server->close(io::Stream::Close::orderly);
  world.scope.spawn(client_read, client.get(), 1_MiB, &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_EQ(received.bytes, "the last bytes");
  EXPECT_TRUE(received.end);
}

TEST_P(StreamTest, AnOrderlyCloseSaysSo) {
  start();
  server->close(io::Stream::Close::orderly);
  Outcome received;
  world.scope.spawn(client_read, client.get(), 1_MiB, &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_TRUE(received.end);
}

TEST_P(StreamTest, AResetDoesNot) {
  start();
  server->close(io::Stream::Close::reset);
  Outcome received;
  world.scope.spawn(client_read, client.get(), 1_MiB, &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_FALSE(received.end);
}

TEST_P(StreamTest, ADamagedRecordEndsTheConnection) {
  start();
  client->peer.write("content");
  std::string record = client->peer.output();
  record.back() ^= 1;
  Outcome sent, received;
  world.scope.spawn(server_write, pair.client.get(), Bytes(record), io::SendOp::More::no, &sent);
  world.scope.spawn(server_read, server.get(), kWindowHead, 1_MiB, &received);
  ASSERT_TRUE(world.run([&] { return received.done && sent.done; }));
  EXPECT_EQ(received.error.cause, Cause::tls_bad_record);
  Outcome told;
  world.scope.spawn(client_read, client.get(), 1_MiB, &told);
  ASSERT_TRUE(world.run([&] { return told.done; }));
  EXPECT_TRUE(client->peer.failed);
  EXPECT_NE(client->peer.reason.find("bad record mac"), std::string::npos) << client->peer.reason;
}

TEST_P(StreamTest, ACancelledReceiveLosesNothing) {
  start();
  Outcome first, second, sent;
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{5}, &first);
  world.turns(3);
  server->cancel_recv(Error{Code::cancelled, Cause::none, 0, "test"});
  ASSERT_TRUE(world.run([&] { return first.done; }));
  EXPECT_EQ(first.error.code, Code::cancelled);
  world.scope.spawn(client_write, client.get(), Bytes("bytes"), &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  world.turns(5);
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{5}, &second);
  ASSERT_TRUE(world.run([&] { return second.done; }));
  EXPECT_EQ(second.bytes, "bytes");
}

TEST_P(StreamTest, CancelEndsEverything) {
  connect(world.small_pair());
  shake();
  const std::string body = pattern(16_MiB);
  Outcome sent, received;
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{5}, &received);
  world.scope.spawn(server_write, server.get(), Bytes(body), io::SendOp::More::no, &sent);
  world.turns(50);
  EXPECT_FALSE(sent.done);
  server->cancel(Error{Code::cancelled, Cause::draining, 0, "test"});
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(sent.error.cause, Cause::draining);
  EXPECT_EQ(received.error.cause, Cause::draining);
}

TEST_P(StreamTest, AReceiveHasItsDeadline) {
  start();
  Result<io::Chunk> result;
  struct Op : io::RecvOp {
    bool done = false;
  } op;
  op.callback = [](io::Op& self) { static_cast<Op&>(self).done = true; };
  op.window = kWindowHead;
  ASSERT_FALSE(server->start_recv(op, Millis(20)));
  ASSERT_TRUE(world.run([&] { return op.done; }));
  EXPECT_EQ(op.result.error().code, Code::timed_out);
  Outcome sent, received;  // and only that one
  world.scope.spawn(client_write, client.get(), Bytes("later"), &sent);
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{5}, &received);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(received.bytes, "later");
}

TEST_P(StreamTest, NewKeysAreAnswered) {
  if (std::get<1>(GetParam()).version != TLS1_3_VERSION) return;
  start();
  for (int i = 0; i < 3; ++i) {
    SSL_key_update(client->peer.ssl.get(), SSL_KEY_UPDATE_REQUESTED);
    Outcome asked, question, answered, answer;
    world.scope.spawn(client_write, client.get(), Bytes("question"), &asked);
    world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{8}, &question);
    ASSERT_TRUE(world.run([&] { return question.done && asked.done; }));
    EXPECT_EQ(question.bytes, "question");
    world.scope.spawn(server_write, server.get(), Bytes("this is the answer"), io::SendOp::More::no,
                      &answered);
    world.scope.spawn(client_read, client.get(), std::size_t{18}, &answer);
    ASSERT_TRUE(world.run([&] { return answered.done && answer.done; }));
    EXPECT_EQ(answer.bytes, "this is the answer");
  }
}

TEST_P(StreamTest, WithoutMemoryBytesPassAllTheSame) {
  start();
  io::Chunk held;
  const std::string body = pattern(40'000);
  Outcome sent, received;
  world.loop.chunks.set_budget(8_KiB);
  ASSERT_TRUE(world.loop.chunks.allocate(8_KiB, held));
  world.scope.spawn(server_write, server.get(), Bytes(body), io::SendOp::More::no, &sent);
  ASSERT_TRUE(world.run([&] { return sent.done; }));
  held.clear();
  world.loop.chunks.set_budget(64_MiB);
  world.scope.spawn(client_read, client.get(), body.size(), &received);
  ASSERT_TRUE(world.run([&] { return received.done; }));
  EXPECT_TRUE(received.bytes == body);
}

TEST_P(StreamTest, AHandshakeHasItsDeadline) {
  connect(world.pair());
  Outcome shaken;
  world.scope.spawn(server_shake, server.get(), Millis(20), &shaken);
  ASSERT_TRUE(world.run([&] { return shaken.done; }));
  EXPECT_EQ(shaken.error.cause, Cause::tls_handshake_timeout);
}

TEST_P(StreamTest, AHandshakeCanBeCancelled) {
  connect(world.pair());
  Outcome shaken;
  world.scope.spawn(server_shake, server.get(), kLong, &shaken);
  world.turns(3);
  server->cancel(Error{Code::cancelled, Cause::cancelled, 0, "test"});
  ASSERT_TRUE(world.run([&] { return shaken.done; }));
  EXPECT_EQ(shaken.error.cause, Cause::cancelled);
}

TEST_P(StreamTest, WhoLeavesOrDoesNotSpeakTlsIsNamed) {
  struct Case {
    const char* said;
    Cause cause;
  };
  for (const Case& each :
       {Case{"", Cause::tls_client_left}, Case{"GET / HTTP/1.1\r\n\r\n", Cause::tls_plain_http},
        Case{"SSH-2.0-x\r\n", Cause::tls_plain_http},
        Case{"\x80 what is this", Cause::tls_handshake_failed},
        Case{"\x16\3\1\0\5hello", Cause::tls_handshake_failed}}) {
    connect(world.pair());
    Outcome shaken, sent;
    world.scope.spawn(server_shake, server.get(), kLong, &shaken);
    const Bytes said = each.said[0] == '\x16' ? Bytes("\x16\3\1\0\5hello", 10) : Bytes(each.said);
    world.scope.spawn(server_write, pair.client.get(), said, io::SendOp::More::no, &sent);
    ASSERT_TRUE(world.run([&] { return sent.done; }));
    if (said.empty()) pair.client->close(io::Stream::Close::orderly);
    ASSERT_TRUE(world.run([&] { return shaken.done; }));
    EXPECT_EQ(shaken.error.cause, each.cause) << each.said;
  }
}

TEST_P(StreamTest, TheConnectionChangesHands) {
  start();
  io::TcpStream other(world.loop, pair.server->release());
  server->rebind(other);
  Outcome sent, received;
  world.scope.spawn(client_write, client.get(), Bytes("bytes"), &sent);
  world.scope.spawn(server_read, server.get(), kWindowHead, std::size_t{5}, &received);
  ASSERT_TRUE(world.run([&] { return sent.done && received.done; }));
  EXPECT_EQ(received.bytes, "bytes");
  server.reset();
}

}  // namespace
}  // namespace weir::tls
