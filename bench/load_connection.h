// SPDX-License-Identifier: Apache-2.0
//
// What HTTP/1.1 and HTTP/2 of the load generator have in common: opening a connection.
#pragma once

#include <optional>

#include "channel.h"
#include "load_run.h"

namespace weir::bench {

/// Opens connections as the plan says; owned by a Traffic.
class Opener {
 public:
  Opener(const Plan& plan, Generator& generator, const char* protocol);

  /// Connects a channel that is closed; its events are those of `connection`.
  void open(Channel& channel, std::size_t connection) const;
  /// Goes on with a handshake at an event, and counts it when it is done.
  [[nodiscard]] Channel::Handshake handshake(Channel& channel) const;

 private:
  const Plan& plan_;
  Generator& generator_;
  std::optional<Tls> tls_;
};

}  // namespace weir::bench
