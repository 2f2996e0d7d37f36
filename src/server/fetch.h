// SPDX-License-Identifier: Apache-2.0
//
// One HTTP/1.1 request of Weir's own, on a connection of its own: for what is asked rarely and is
// small. The whole answer is in memory at the end.
#pragma once

#include <expected>
#include <string>

#include "async/task.h"
#include "io/tcp_stream.h"

namespace weir::server {

struct FetchRequest {
  io::SocketAddress address;
  std::string host;  ///< the value of Host
  std::string target;
  std::string content_type;
  std::string body;               ///< of a POST
  Millis timeout{10'000};         ///< a total
  std::size_t size_max = 16_KiB;  ///< of the answer's body
};

/// Outlives its run().
class Fetch : private io::Timer {
 public:
  Fetch(io::Loop& loop, FetchRequest request);
  /// The body of a response with status 200, or what went wrong: "connection refused". Once.
  Task<std::expected<std::string, std::string>> run();
  /// Ends it soon, from any coroutine.
  void cancel(Error why);

 private:
  Task<std::expected<std::string, std::string>> talk(io::TcpStream& stream);

  io::Loop& loop_;
  FetchRequest request_;
  io::ConnectHandle connecting_;
  io::TcpStream* stream_ = nullptr;
};

}  // namespace weir::server
