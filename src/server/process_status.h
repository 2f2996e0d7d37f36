// SPDX-License-Identifier: Apache-2.0
//
// What is known of the running process beside its counters: the input of /metrics and of the JSON
// status. Plain values, gathered by whoever answers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace weir::server {

/// What the kernel says about this process. Absent where /proc does not answer.
struct ProcessUsage {
  std::optional<std::uint64_t> resident_bytes;
  std::optional<std::uint64_t> descriptors;
  std::optional<std::uint64_t> descriptors_max;
  double cpu_seconds = 0;  ///< user and system
};

/// Reads /proc: a few system calls, so not for a worker's hot path.
ProcessUsage read_process_usage();

struct ServerStatus {
  std::string name;  ///< its address
  bool up = true;
  std::uint64_t failures = 0;    ///< in a row
  std::string last_error = {};   ///< the cause's word, or ""
  std::int64_t retry_in_ms = 0;  ///< when it is down: until it is tried again
  std::uint64_t active = 0;
  std::uint64_t idle = 0;
};

struct UpstreamStatus {
  std::string name;
  std::vector<ServerStatus> servers;
};

struct CertificateStatus {
  std::string file;
  std::vector<std::string> names;
  std::int64_t expires = 0;                   ///< seconds since the epoch
  std::optional<std::int64_t> stapled_until;  ///< likewise, of what is stapled
};

struct ProcessStatus {
  std::string version;
  std::string backend;            ///< "ring" or "epoll"
  std::string state = "running";  ///< "running" or "draining"
  std::int64_t pid = 0;
  WallTime started;
  WallTime now;
  ProcessUsage usage;
  std::uint64_t log_lines_lost = 0;  ///< LogWriter::lines_lost()
  std::vector<std::string> files;    ///< of the configuration
  std::vector<std::string> listens;
  std::vector<CertificateStatus> certificates;
  std::vector<UpstreamStatus> upstreams;
};

}  // namespace weir::server
