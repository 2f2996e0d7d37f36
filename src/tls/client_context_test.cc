// SPDX-License-Identifier: Apache-2.0
//
// The client's side of TLS: its handshake and records with OpenSSL as the server, and as a stream
// with our own server at the other end.
#include "tls/client_context.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <cstdio>

#include "io/io_world_test.h"
#include "io/system_socket.h"
#include "tls/peer_for_test.h"
#include "tls/stream.h"

namespace weir::tls {
namespace {

using io::World;

constexpr Millis kLong{9'000};

std::shared_ptr<const Certificate> certificate(const char* name) {
  return Certificate::self_signed(name, io::wall_now());
}

std::shared_ptr<const Authorities> trusting(const Certificate& certificate) {
  const std::string file = ::testing::TempDir() + "trusted.pem";
  const BioPtr out(BIO_new_file(file.c_str(), "w"));
  PEM_write_bio_X509(out.get(), certificate.leaf());
  BIO_flush(out.get());
  std::vector<Problem> problems;
  auto loaded = Authorities::load(file, problems);
  for (const Problem& problem : problems) ADD_FAILURE() << problem.text;
  std::remove(file.c_str());
  return loaded;
}

std::shared_ptr<KnownServer> known(const char* name, ClientSettings settings) {
  if (settings.alpn.empty()) settings.alpn = "http/1.1";
  std::vector<Problem> problems;
  auto context = ClientContext::make(std::move(settings), problems);
  for (const Problem& problem : problems) ADD_FAILURE() << problem.text;
  return std::make_shared<KnownServer>(name, std::move(context));
}

int choose(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* offered,
           unsigned, void*) {
  *out = offered + 1;
  *size = offered[0];
  return SSL_TLSEXT_ERR_OK;
}

/// OpenSSL as a server, for as many connections as are to resume each other's sessions.
struct Server {
  Server(const Certificate& own, const Dialect& dialect, bool alpn = true)
      : context(SSL_CTX_new(TLS_server_method())) {
    SSL_CTX_set_min_proto_version(context.get(), dialect.version);
    SSL_CTX_set_max_proto_version(context.get(), dialect.version);
    const int good = dialect.version == TLS1_3_VERSION
                         ? SSL_CTX_set_ciphersuites(context.get(), dialect.cipher)
                         : SSL_CTX_set_cipher_list(context.get(), dialect.cipher);
    EXPECT_EQ(good, 1);
    EXPECT_TRUE(use_certificate(context.get(), own));
    SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("x"), 1);
    if (alpn) SSL_CTX_set_alpn_select_cb(context.get(), choose, nullptr);
  }
  SslContextPtr context;
};

/// A connection to it, as far as it comes.
struct Shaken {
  Shaken(Server& server, std::shared_ptr<KnownServer> to)
      : handshake(std::move(to)), peer(SSL_new(server.context.get())) {
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(peer.get(), in_, out_);
    SSL_set_accept_state(peer.get());
    std::string bytes;
    for (int round = 0; round < 10 && !done && error.where == nullptr; ++round) {
      Bytes input = bytes;
      std::string output;
      const auto step = handshake.step(input, output, kTestTime);
      if (!step) {
        error = step.error();
      } else {
        done = *step == Handshake::Step::done;
      }
      feed(output);
      SSL_do_handshake(peer.get());
      ERR_clear_error();
      bytes = this->output();
    }
    behind = bytes;
    if (!done) return;
    handshake.begin_records(receiving, sending);
    facts = handshake.take_facts();
  }
  ~Shaken() { SSL_set_shutdown(peer.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
  Shaken(const Shaken&) = delete;
  Shaken& operator=(const Shaken&) = delete;

  void feed(Bytes bytes) { BIO_write(in_, bytes.data(), static_cast<int>(bytes.size())); }
  std::string output() {
    std::string result(BIO_ctrl_pending(out_), '\0');
    if (!result.empty()) BIO_read(out_, result.data(), static_cast<int>(result.size()));
    return result;
  }
  /// Of one record of the server's, or "" if it is none.
  std::string open(std::string& records) {
    const auto size = record_size(records);
    if (!size || *size == 0 || *size > records.size()) return "";
    std::string record = records.substr(0, *size);
    records.erase(0, *size);
    std::string content(record.size(), '\0');
    const auto opened = receiving.open(record, content.data());
    if (!opened) return "";
    content.resize(opened->size);
    return content;
  }

  Handshake handshake;
  SslPtr peer;
  bool done = false;
  Error error{};
  std::string behind;  ///< what the server has sent behind its handshake
  std::unique_ptr<Facts> facts;
  Records receiving;
  Records sending;

 private:
  BIO* in_ = nullptr;  // of peer
  BIO* out_ = nullptr;
};

class ClientContextTest : public ::testing::TestWithParam<Dialect> {};
INSTANTIATE_TEST_SUITE_P(Dialects, ClientContextTest, ::testing::ValuesIn(kDialects),
                         [](const auto& info) { return info.param.name; });

TEST_P(ClientContextTest, SpeaksWithOpenSslAndResumes) {
  const auto own = certificate("app.test");
  Server server(*own, GetParam());
  ClientSettings settings;
  settings.authorities = trusting(*own);
  const auto to = known("app.test", settings);
  for (const bool again : {false, true}) {
    Shaken shaken(server, to);
    ASSERT_TRUE(shaken.done) << shaken.error.where;
    EXPECT_EQ(shaken.facts->resumed, again);
    EXPECT_EQ(shaken.facts->alpn, "http/1.1");
    if (!again) {
      EXPECT_STREQ(SSL_get_servername(shaken.peer.get(), TLSEXT_NAMETYPE_host_name), "app.test");
    }
    SSL_write(shaken.peer.get(), "hello", 5);
    std::string records = shaken.behind + shaken.output();
    std::string seen;
    while (!records.empty() && seen != "hello") {
      const std::string record = records.substr(0, *record_size(records));
      seen = shaken.open(records);
      ASSERT_FALSE(seen.empty());
      if (seen[0] == 4) shaken.handshake.take_ticket(record);
    }
    EXPECT_EQ(seen, "hello");
    EXPECT_NE(to->session, nullptr);
    std::string sealed(64, '\0');
    const Bytes piece = "and back";
    std::size_t size = shaken.sending.seal(Content::application, {&piece, 1}, sealed.data());
    shaken.feed(Bytes(sealed).substr(0, size));
    std::array<char, 16> got{};
    ASSERT_EQ(SSL_read(shaken.peer.get(), got.data(), got.size()), 8);
    EXPECT_EQ(Bytes(got.data(), 8), "and back");
  }
}

TEST(ClientContext, VerifiesWhoAnswers) {
  const auto own = certificate("app.test");
  const auto other = certificate("app.test");
  Server server(*own, kDialects[0]);
  struct Case {
    const char* name;
    std::shared_ptr<const Authorities> authorities;
    const char* detail;  ///< nullptr: it is accepted
  };
  const auto good = trusting(*own);
  for (const Case& each :
       {Case{"app.test", good, nullptr}, Case{"127.0.0.1", good, nullptr},
        Case{"other.test", good, "hostname mismatch"},
        Case{"127.0.0.2", good, "IP address mismatch"}, Case{"app.test", trusting(*other), ""},
        Case{"other.test", nullptr, nullptr}}) {
    ClientSettings settings;
    settings.authorities = each.authorities;
    Shaken shaken(server, known(each.name, settings));
    EXPECT_EQ(shaken.done, each.detail == nullptr) << each.name;
    if (each.detail == nullptr) continue;
    EXPECT_EQ(shaken.error.cause, Cause::upstream_tls_certificate);
    EXPECT_NE(std::string(shaken.error.where).find(each.detail), std::string::npos)
        << shaken.error.where;
  }
}

TEST(ClientContext, APinIsOfTheKey) {
  const auto own = certificate("app.test");
  Server server(*own, kDialects[0]);
  unsigned char* bytes = nullptr;
  const int size = i2d_PUBKEY(own->key(), &bytes);
  Pin pin;
  ASSERT_EQ(EVP_Digest(bytes, static_cast<std::size_t>(size), pin.data(), nullptr,
                       algorithms().sha256, nullptr),
            1);
  OPENSSL_free(bytes);
  ClientSettings settings;
  settings.pins = {Pin{}, pin};
  EXPECT_TRUE(Shaken(server, known("app.test", settings)).done);
  settings.pins = {Pin{}};
  EXPECT_EQ(Shaken(server, known("app.test", settings)).error.cause,
            Cause::upstream_tls_certificate);
}

TEST(ClientContext, Http2IsAgreedOn) {
  const auto own = certificate("app.test");
  ClientSettings settings;
  settings.alpn = "h2";
  Server speaks(*own, kDialects[0]);
  EXPECT_TRUE(Shaken(speaks, known("app.test", settings)).done);
  Server silent(*own, kDialects[0], false);
  EXPECT_EQ(Shaken(silent, known("app.test", settings)).error.cause, Cause::upstream_tls_failed);
}

TEST(ClientContext, AuthoritiesThatCannotBeRead) {
  std::vector<Problem> problems;
  EXPECT_EQ(Authorities::load("/nowhere/ca.pem", problems), nullptr);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems.front().text.find("/nowhere/ca.pem"), std::string::npos);
}

Task<> shake(Stream* stream, Result<void>* out, bool* done) {
  *out = co_await stream->handshake(kLong);
  *done = true;
}

Task<> say(Stream* stream, Bytes bytes, bool* done) {
  const std::array<Bytes, 4> pieces = {bytes, {}, {}, {}};
  EXPECT_TRUE(co_await stream->send(pieces, kLong));
  *done = true;
}

Task<> hear(Stream* stream, std::size_t size, std::string* out, bool* done) {
  while (out->size() < size) {
    const Result<io::Chunk> chunk = co_await stream->recv(16_KiB, kLong);
    if (!chunk || chunk->empty()) break;
    *out += chunk->bytes();
  }
  *done = true;
}

class ClientStreamTest : public ::testing::TestWithParam<io::Kind> {
 protected:
  void shaken() {
    server.reset();
    client.reset();
    pair = world.pair();
    client = std::make_unique<Stream>(to, *pair.client);
    server = std::make_unique<Stream>(context, *pair.server);
    std::array<bool, 2> done{};
    std::array<Result<void>, 2> results;
    world.scope.spawn(shake, client.get(), &results[0], &done[0]);
    world.scope.spawn(shake, server.get(), &results[1], &done[1]);
    // Its Finished leaves with the first content, or before the first wait.
    ASSERT_TRUE(world.run([&] { return done[0]; }));
    ASSERT_TRUE(results[0]) << results[0].error().where;
    bool asked = false;
    world.scope.spawn(say, client.get(), Bytes("question"), &asked);
    ASSERT_TRUE(world.run([&] { return done[1] && asked; }));
    ASSERT_TRUE(results[1]) << results[1].error().where;
  }
  void pass(Stream& from, Stream& into, Bytes bytes) {
    bool sent = false;
    bool received = false;
    std::string got;
    world.scope.spawn(hear, &into, bytes.size(), &got, &received);
    world.scope.spawn(say, &from, bytes, &sent);
    ASSERT_TRUE(world.run([&] { return sent && received; }));
    EXPECT_TRUE(got == bytes);
  }

  World world{GetParam()};
  std::shared_ptr<const ServerContext> context = test_context();
  std::shared_ptr<KnownServer> to = known("weir.test", {});
  World::Pair pair;
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};
INSTANTIATE_TEST_SUITE_P(Backends, ClientStreamTest, ::testing::ValuesIn(io::kinds()),
                         [](const auto& info) { return io::kind_name(info.param); });

TEST_P(ClientStreamTest, BytesPassAndSessionsAreResumed) {
  const std::string body = io::pattern(2_MiB + 77);
  for (const bool again : {false, true}) {
    shaken();
    EXPECT_EQ(client->facts().resumed, again);
    EXPECT_EQ(server->facts().resumed, again);
    std::string question;
    bool heard = false;
    world.scope.spawn(hear, server.get(), std::size_t{8}, &question, &heard);
    ASSERT_TRUE(world.run([&] { return heard; }));
    EXPECT_EQ(question, "question");
    pass(*server, *client, "answer");
    EXPECT_NE(to->session, nullptr);
    pass(*client, *server, body);
    pass(*server, *client, body);
    EXPECT_EQ(world.loop.chunks.used(), 0u);
  }
}

TEST_P(ClientStreamTest, AServerThatLeavesInTheHandshake) {
  pair = world.pair();
  client = std::make_unique<Stream>(to, *pair.client);
  Result<void> result;
  bool done = false;
  world.scope.spawn(shake, client.get(), &result, &done);
  world.turns(5);
  pair.server->close(io::Stream::Close::orderly);
  ASSERT_TRUE(world.run([&] { return done; }));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().cause, Cause::upstream_tls_failed);
}

TEST_P(ClientStreamTest, AServerThatSpeaksNoTls) {
  pair = world.pair();
  client = std::make_unique<Stream>(to, *pair.client);
  Result<void> result;
  bool done = false;
  world.scope.spawn(shake, client.get(), &result, &done);
  pair.server->try_send("HTTP/1.1 400 Bad Request\r\n\r\n", io::SendOp::More::no);
  ASSERT_TRUE(world.run([&] { return done; }));
  ASSERT_FALSE(result);
  EXPECT_NE(std::string(result.error().where).find("does not speak TLS"), std::string::npos);
}

}  // namespace
}  // namespace weir::tls
