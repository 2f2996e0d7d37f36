// SPDX-License-Identifier: Apache-2.0
//
// gRPC over HTTP/2, as far as a proxy has to know it: a call that fails on the way is answered with
// a gRPC status, because its client looks at nothing else.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
#pragma once

#include <string>

#include "base/error.h"
#include "http/head.h"

namespace weir::proxy {

/// Whether the request is a gRPC call.
[[nodiscard]] bool is_grpc(const http::RequestHead& head);

/// The status of a call that failed for this cause, "14": the mapping of HTTP statuses in gRPC's
/// doc/http-grpc-status-mapping.md.
[[nodiscard]] std::string_view grpc_status(Cause cause);

/// `text` as the value of grpc-message: percent-encoded outside of printable ASCII.
[[nodiscard]] std::string grpc_message(std::string_view text);

}  // namespace weir::proxy
