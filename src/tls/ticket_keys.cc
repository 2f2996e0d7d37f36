// SPDX-License-Identifier: Apache-2.0
#include "tls/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/assert.h"

namespace weir::tls {
namespace {

TicketKey make_key(std::int64_t now) {
  TicketKey key;
  WEIR_CHECK(RAND_bytes(key.name.data(), key.name.size()) == 1);
  WEIR_CHECK(RAND_priv_bytes(key.cipher.data(), key.cipher.size()) == 1);
  WEIR_CHECK(RAND_priv_bytes(key.hmac.data(), key.hmac.size()) == 1);
  key.made = now;
  return key;
}

// Keys that nobody uses any more are not left in memory.
std::shared_ptr<const TicketKeys::Keys> share(TicketKeys::Keys keys) {
  return {new TicketKeys::Keys(std::move(keys)), [](const TicketKeys::Keys* gone) {
            auto* mutable_keys = const_cast<TicketKeys::Keys*>(gone);
            for (TicketKey& key : *mutable_keys) OPENSSL_cleanse(&key, sizeof key);
            delete gone;
          }};
}

}  // namespace

TicketKeys::TicketKeys(WallTime now) : keys_(share(Keys{make_key(now.micros / 1'000'000)})) {}

TicketKeys::~TicketKeys() = default;

std::shared_ptr<const TicketKeys::Keys> TicketKeys::at(WallTime now) {
  const std::int64_t second = now.micros / 1'000'000;
  std::shared_ptr<const Keys> current = keys_.load();
  while (second - current->front().made >= kTicketKeySeconds) {
    Keys next;
    next.reserve(kTicketKeysMax);  // no copy is left behind
    next.push_back(make_key(second));
    for (const TicketKey& key : *current) {
      const bool serves = second - key.made < kTicketKeysLiveSeconds;
      if (serves && next.size() < kTicketKeysMax) next.push_back(key);
    }
    std::shared_ptr<const Keys> made = share(std::move(next));
    // Another worker may have been quicker; then its keys are those of all.
    if (keys_.compare_exchange_strong(current, made)) return made;
  }
  return current;
}

}  // namespace weir::tls
