// SPDX-License-Identifier: Apache-2.0
#include "proxy/passthrough.h"

#include <gtest/gtest.h>

#include "proxy/upstream.h"
#include "proxy/world_for_test.h"

namespace weir::proxy {
namespace {

class PassthroughTest : public testing::Test {
 protected:
  PassthroughTest() {
    for (const char* name : {"a", "b", "c", "d"}) {
      upstreams_[name] = std::make_shared<Upstream>(world_.context, counts_);
    }
  }

  /// "" when nothing matches.
  std::string match(const std::vector<config::Passthrough>& entries, std::string name,
                    std::string protocols = {}) {
    const Passthrough passthrough(entries, upstreams_);
    const auto& found = passthrough.match({std::move(name), protocols});
    for (const auto& [key, upstream] : upstreams_) {
      if (found == upstream) return key;
    }
    return "";
  }

  TestWorld world_{Net::sim};
  UpstreamCounts counts_;
  std::map<std::string, std::shared_ptr<Upstream>> upstreams_;
};

TEST_F(PassthroughTest, NamesAreThoseOfEntriesWhateverTheProtocol) {
  const std::vector<config::Passthrough> entries = {
      {{"a.test"}, {"h2"}, "a"}, {{"*.b.test"}, {}, "b"}, {{}, {"acme"}, "c"}};
  const Passthrough passthrough(entries, upstreams_);
  for (const char* name : {"a.test", "x.b.test"}) EXPECT_TRUE(passthrough.names(name)) << name;
  for (const char* name : {"", "b.test", "x.y.b.test", "c.test", ".b.test"}) {
    EXPECT_FALSE(passthrough.names(name)) << name;
  }
}

TEST_F(PassthroughTest, AnExactNameThenAWildcardOfOneLabelThenAny) {
  const std::vector<config::Passthrough> entries = {{{}, {"acme"}, "d"},
                                                    {{"*.example", "*.com"}, {}, "b"},
                                                    {{"www.example", "x.y.example"}, {}, "a"}};
  EXPECT_EQ(match(entries, "www.example"), "a");
  EXPECT_EQ(match(entries, "x.y.example"), "a");
  EXPECT_EQ(match(entries, "other.example"), "b");
  EXPECT_EQ(match(entries, "a.com"), "b");
  EXPECT_EQ(match(entries, "a.b.example"), "");
  EXPECT_EQ(match(entries, "example"), "");
  EXPECT_EQ(match(entries, ".example"), "");
  EXPECT_EQ(match(entries, ""), "");
  EXPECT_EQ(match(entries, "a.b.example",
                  "\x04"
                  "acme"),
            "d");
  EXPECT_EQ(match(entries, "",
                  "\x04"
                  "acme"),
            "d");
  EXPECT_EQ(match(entries, ".example",
                  "\x04"
                  "acme"),
            "d");
  EXPECT_EQ(match(entries, "www.example",
                  "\x04"
                  "acme"),
            "a");
}

TEST_F(PassthroughTest, WithAProtocolBeforeWithout) {
  const std::vector<config::Passthrough> entries = {{{"www.example"}, {}, "a"},
                                                    {{"www.example"}, {"h2", "h3"}, "b"},
                                                    {{"*.example"}, {"http/1.1"}, "c"}};
  EXPECT_EQ(match(entries, "www.example"), "a");
  EXPECT_EQ(match(entries, "www.example", "\x02h2\x08http/1.1"), "b");
  EXPECT_EQ(match(entries, "www.example", "\x08http/1.1\x02h3"), "b");
  EXPECT_EQ(match(entries, "www.example", "\x08http/1.1"), "a");
  EXPECT_EQ(match(entries, "x.example", "\x08http/1.1"), "c");
  EXPECT_EQ(match(entries, "x.example", "\x02h2"), "");
}

}  // namespace
}  // namespace weir::proxy
