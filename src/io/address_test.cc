// SPDX-License-Identifier: Apache-2.0
#include "io/address.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>

namespace weir::io {
namespace {

TEST(SocketAddress, TextIsWhatWasGiven) {
  EXPECT_EQ(SocketAddress::from_ip("192.0.2.1", 80)->text(), "192.0.2.1:80");
  EXPECT_EQ(SocketAddress::from_ip("2001:db8::1", 8080)->text(), "[2001:db8::1]:8080");
  EXPECT_EQ(SocketAddress::from_unix("/run/a.sock")->text(), "unix:/run/a.sock");
  EXPECT_FALSE(SocketAddress::from_ip("example.com", 80));
  EXPECT_FALSE(SocketAddress::from_unix(std::string(200, 'x')));
}

TEST(SocketAddress, AUnixPathEndsWhereItEndsWhateverWasInMemory) {
  alignas(SocketAddress) unsigned char dirt[sizeof(SocketAddress)];
  std::memset(dirt, 0x5a, sizeof dirt);
  auto* address = new (dirt) SocketAddress();
  *address = *SocketAddress::from_unix("/run/a.sock");
  EXPECT_EQ(address->text(), "unix:/run/a.sock");
  auto* fresh = new (dirt) SocketAddress();
  EXPECT_EQ(fresh->family(), 0);
  EXPECT_EQ(*SocketAddress::from_unix("/a"), *SocketAddress::from_unix("/a"));
}

TEST(Peer, IsShownAsPeopleWriteIt) {
  const SocketAddress v4 = *SocketAddress::from_ip("192.0.2.7", 1);
  sockaddr_storage storage{};
  std::memcpy(&storage, v4.get(), v4.size());
  EXPECT_EQ(Peer::from(storage).text(), "192.0.2.7");
}

}  // namespace
}  // namespace weir::io
