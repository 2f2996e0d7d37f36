// SPDX-License-Identifier: Apache-2.0
#include "cli/admin_client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace weir::cli {
namespace {

TEST(AdminReply, BodiesByLengthChunkedAndToTheEnd) {
  for (const char* bytes : {
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhello and more",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
           "chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
           "HTTP/1.0 200 OK\r\n\r\nhello",
           "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
       }) {
    const auto reply = parse_admin_reply(bytes);
    ASSERT_TRUE(reply.has_value()) << bytes;
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "hello") << bytes;
  }
}

TEST(AdminReply, WhatIsCutOrIsNotHttpIsAnError) {
  for (const char* bytes : {
           "",
           "SSH-2.0-OpenSSH\r\n",
           "HTTP/1.1 200 OK\r\n",
           "HTTP/1.1 xyz OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello",
       }) {
    EXPECT_FALSE(parse_admin_reply(bytes).has_value()) << bytes;
  }
}

/// Answers one connection and gives the request back.
std::string serve_one(int listener, std::string_view reply) {
  const int fd = accept(listener, nullptr, nullptr);
  std::array<char, 4096> buffer;
  std::string request;
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) break;
    request.append(buffer.data(), static_cast<std::size_t>(n));
  }
  EXPECT_EQ(send(fd, reply.data(), reply.size(), MSG_NOSIGNAL), static_cast<ssize_t>(reply.size()));
  close(fd);
  return request;
}

class AdminSocket : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weir-admin-XXXXXX").string();
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/admin.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
  std::string path_;
};

TEST_F(AdminSocket, AsksOverAUnixSocket) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  std::string request;
  std::thread server([&] {
    request = serve_one(listener, "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno");
  });
  const std::string at = "unix:" + path_;
  const auto reply = ask_admin({.address = at, .method = "POST", .path = "/reload"});
  server.join();
  close(listener);
  ASSERT_TRUE(reply.has_value()) << reply.error();
  EXPECT_EQ(reply->status, 409);
  EXPECT_EQ(reply->body, "no");
  EXPECT_EQ(
      request,
      "POST /reload HTTP/1.1\r\nHost: weir\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
}

TEST_F(AdminSocket, AsksOverTcp) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::thread server([&] { serve_one(listener, "HTTP/1.1 200 OK\r\n\r\n{}"); });
  const std::string at = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  const auto reply = ask_admin({.address = at});
  server.join();
  close(listener);
  ASSERT_TRUE(reply.has_value()) << reply.error();
  EXPECT_EQ(reply->body, "{}");
}

TEST_F(AdminSocket, SaysWhenNobodyListens) {
  const std::string at = "unix:" + path_;
  const auto reply = ask_admin({.address = at});
  ASSERT_FALSE(reply.has_value());
  EXPECT_EQ(reply.error(), "no Weir answers at " + at + ": is it running? (--admin ADDRESS)");
}

TEST(AdminAddress, WhatIsNoneIsSaid) {
  EXPECT_EQ(ask_admin({.address = "nonsense"}).error(),
            "nonsense is not an address: unix:/path or host:port is");
  EXPECT_FALSE(ask_admin({.address = "unix:"}).has_value());
  EXPECT_FALSE(ask_admin({.address = "127.0.0.1:"}).has_value());
}

}  // namespace
}  // namespace weir::cli
