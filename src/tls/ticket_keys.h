// SPDX-License-Identifier: Apache-2.0
//
// The keys that session tickets are encrypted with: one set for all workers, so that a session is
// resumed wherever its client comes back. They rotate: the newest encrypts, and those before it are
// still accepted for as long as a ticket lives. Nothing of a key that is gone is kept, so who gets
// hold of the process's memory learns nothing of sessions before.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/time.h"

namespace weir::tls {

inline constexpr std::int64_t kTicketKeySeconds = 12L * 3600;  ///< then there is a new one
inline constexpr std::size_t kTicketKeysMax = 3;               ///< the newest, and what is accepted
/// Since it was made; also where nobody has asked for a key in the meantime.
inline constexpr std::int64_t kTicketKeysLiveSeconds = kTicketKeySeconds * kTicketKeysMax;

struct TicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;
  std::array<unsigned char, 32> hmac;
  std::int64_t made = 0;  ///< seconds since the epoch
};

/// Of the process; used by all of its workers.
class TicketKeys {
 public:
  using Keys = std::vector<TicketKey>;  ///< the newest first; never empty

  explicit TicketKeys(WallTime now);
  ~TicketKeys();

  /// What is to be used now: after kTicketKeySeconds a new one is made first. From any thread.
  std::shared_ptr<const Keys> at(WallTime now);

 private:
  std::atomic<std::shared_ptr<const Keys>> keys_;
};

}  // namespace weir::tls
