// SPDX-License-Identifier: Apache-2.0
//
// What HTTPS asks of an exchange, whatever its protocol: that a connection is for the hosts of its
// certificate, that a listener sends its clients to https, and that browsers remember it.
#pragma once

#include <span>
#include <string_view>

#include "http/encode.h"
#include "http/head.h"
#include "proxy/context.h"
#include "proxy/request_steps.h"

namespace weir::proxy {

/// Whether the client asks for a host that it has not asked for in the handshake, and that the
/// certificate it was shown is not for, or whose connections the listener passes on unread: a
/// browser shares a connection among the names of its certificate. RFC 9110 section 7.4.
[[nodiscard]] bool misdirected(const http::RequestHead& head, const ClientFacts& client);

/// Where `https_only` sends this request; empty if nobody can say (no Host).
[[nodiscard]] std::string_view https_target(const http::RequestHead& head, std::uint16_t port,
                                            Arena& arena);
/// Requests that stay plain: an authority proves with them that we control the name. RFC 8555
/// section 8.3.
[[nodiscard]] bool stays_plain(const http::RequestHead& head);

/// The edits, and Strict-Transport-Security unless there is one already. RFC 6797 section 7.1.
[[nodiscard]] std::span<const http::HeadEdit> with_hsts(std::span<const http::HeadEdit> edits,
                                                        const http::ResponseHead& head,
                                                        Arena& arena);

}  // namespace weir::proxy
