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
  for (const char* text : {"192.0.2.7", "0.0.0.0", "255.255.255.255", "10.99.100.9", "2001:db8::1",
                           "::", "2001:db8:1111:2222:3333:4444:5555:6666"}) {
    const SocketAddress address = *SocketAddress::from_ip(text, 1);
    sockaddr_storage storage{};
    std::memcpy(&storage, address.get(), address.size());
    const Peer peer = Peer::from(storage);
    EXPECT_EQ(peer.text(), text);
    Peer::TextSpace space;
    EXPECT_EQ(peer.text_in(space), text);
  }
  EXPECT_EQ(Peer::from(sockaddr_storage{}).text(), "unix");
}

}  // namespace
}  // namespace weir::io
