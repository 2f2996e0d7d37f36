// SPDX-License-Identifier: Apache-2.0
//
// The client of the admin address for `weir status`, `reload` and `stop`: one blocking HTTP/1.1
// request on one connection. Not for the data path.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "base/time.h"

namespace weir::cli {

struct AdminReply {
  int status = 0;
  std::string body;
};

struct AdminRequest {
  std::string_view address;  ///< unix:/path, host:port, [v6]:port or :port (this machine)
  std::string_view method = "GET";
  std::string_view path = "/status";
  Millis stall{30'000};  ///< no byte for so long is a failure; a reload may take a while
};

/// The reply, or a sentence for the operator.
std::expected<AdminReply, std::string> ask_admin(const AdminRequest& request);

/// Takes a complete HTTP/1.1 response apart: status, and the body by Content-Length, chunked or to
/// the end. Nothing when it is malformed or cut.
std::expected<AdminReply, std::string> parse_admin_reply(std::string_view bytes);

}  // namespace weir::cli
