// SPDX-License-Identifier: Apache-2.0
//
// Whole responses for the handlers inside Weir (admin, demo): a status, a type, a text.
#pragma once

#include <string_view>

#include "proxy/exchange.h"

namespace weir::server {

/// Sends a complete response; for HEAD only its head. Nothing is kept; a client that left is
/// ignored.
Task<> reply(proxy::Responder& responder, const http::RequestHead& request, int status,
             std::string_view content_type, std::string_view body);

}  // namespace weir::server
