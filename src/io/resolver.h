// SPDX-License-Identifier: Apache-2.0
//
// Names to addresses, kept up to date. Who needs the addresses of a name watches it and is told of
// every change. Nothing here makes a worker wait.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "io/address.h"

namespace weir::io {

/// What is known about a name.
struct Resolution {
  /// Sorted, without port, each once. After a failed refresh still those of the last good answer:
  /// stale is better than none.
  std::vector<SocketAddress> addresses;
  std::optional<Error> error;  ///< why the last attempt failed
};

/// One per process; the simulator has its own.
class Resolver {
 public:
  /// Called on the resolver's thread: it posts to whom it concerns, and does nothing else.
  using Callback = std::move_only_function<void(const Resolution&)>;
  using WatchId = std::uint64_t;

  virtual ~Resolver() = default;
  /// Calls back with the first answer or failure, and then whenever the addresses change or a
  /// refresh starts or ceases to fail. From any thread, but not from a callback.
  virtual WatchId watch(const std::string& name, Callback callback) = 0;
  /// After it has returned the callback is not called any more. As watch().
  virtual void unwatch(WatchId watch) = 0;
};

struct ResolverOptions {
  std::string servers;   ///< "127.0.0.1:53,[::1]:53"; empty: those of the system
  Millis timeout{2000};  ///< of the first try to one server; it grows from try to try
  int tries = 2;
  Millis ttl_min{1000};     ///< an answer is used at least so long
  Millis ttl_max{300'000};  ///< and at most so long
  Millis retry_min{1000};   ///< after a failure; doubles up to …
  Millis retry_max{30'000};
};

/// On c-ares, with a thread of its own; /etc/hosts counts as well. Names that are IP addresses are
/// answered once. Fails when the thread's channel cannot be set up.
Result<std::unique_ptr<Resolver>> make_resolver(ResolverOptions options = {});

}  // namespace weir::io
