// SPDX-License-Identifier: Apache-2.0
//
// What the connections of one worker share. Made by the worker, outlives everything in it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "http/date.h"
#include "http/h2_head.h"
#include "io/loop.h"
#include "proxy/metrics.h"
#include "proxy/record.h"

namespace weir::io {
class PipePool;
}

namespace weir::proxy {

class LogSink;
class Snapshot;

/// Strings with room for a head, used again: a request in steady state allocates none.
class TextPool {
 public:
  std::string take();
  void give(std::string text);

 private:
  std::vector<std::string> free_;
};

/// xoshiro256**, for request ids and balancing; not for secrets.
class Random {
 public:
  explicit Random(std::uint64_t seed);
  std::uint64_t next();

 private:
  std::array<std::uint64_t, 4> state_;
};

struct Context {
  Context(io::Loop& loop, WorkerMetrics& metrics, std::uint64_t seed)
      : loop(loop), scope(loop.queue), metrics(metrics), random(seed) {}

  io::Loop& loop;
  Scope scope;  ///< what runs of the connections, and of the worker itself
  WorkerMetrics& metrics;
  TextPool texts;
  http::H2Fields h2_fields;  ///< room for the head that is being encoded
  Random random;
  LogSink* log = nullptr;              ///< nullptr: no access log
  io::PipePool* pipes = nullptr;       ///< nullptr: nothing is spliced
  std::shared_ptr<Snapshot> snapshot;  ///< the configuration for new exchanges
  bool draining = false;               ///< connections close after their exchange

  /// Closes something idle because descriptors ran out. False: there is nothing.
  bool (*make_room)(void* self) = nullptr;
  void* make_room_self = nullptr;

  /// The time of day as Date has it. Valid until the next call.
  std::string_view date();

 private:
  std::int64_t date_seconds_ = -1;
  std::array<char, http::kDateSize> date_{};
};

/// Small strings of one exchange, in one place: freed together when it ends.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();
  /// Uninitialised room for `size` bytes.
  char* allocate(std::size_t size);
  std::string_view copy(std::string_view text);
  /// The parts, one after the other.
  std::string_view join(std::initializer_list<std::string_view> parts);

 private:
  struct Block {
    Block* next;
    std::size_t size;
  };
  std::array<char, 384> inline_;
  std::size_t used_ = 0;
  Block* blocks_ = nullptr;
};

}  // namespace weir::proxy
