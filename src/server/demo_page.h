// SPDX-License-Identifier: Apache-2.0
//
// The page of `weir demo`: demo_page.html, embedded by cmake/embed.cmake. It needs nothing but
// these paths of the demo's origin:
//
//     GET  /demo/headers        {"method", "target", "headers": [[name, value], …]} as they arrived
//     GET  /demo/bytes/N        N bytes with Content-Length
//     GET  /demo/slow           a text line each 500 ms, ten of them, chunked
//     GET  /demo/events         text/event-stream, a message a second
//     POST /demo/upload         {"bytes": N, "sha256": "hex"} of the body
//     GET  /demo/echo           WebSocket that sends every message back
//     GET  /demo/stats          the JSON status (status_json.h) of the Weir in front
#pragma once

#include <string_view>

namespace weir::server {

/// UTF-8 text/html, in static storage.
std::string_view demo_page();

}  // namespace weir::server
