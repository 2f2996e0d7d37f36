// SPDX-License-Identifier: Apache-2.0
//
// What an authority says of a certificate today, for stapling (OCSP, RFC 6960): the
// question, and the answer read and verified. Who asks is the server's business.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "tls/openssl.h"

namespace weir::tls {

/// A response that says that the certificate is good.
struct OcspResponse {
  std::string der;         ///< as it is stapled
  std::int64_t from = 0;   ///< seconds since the epoch
  std::int64_t until = 0;  ///< likewise

  [[nodiscard]] bool valid(WallTime now) const { return now.micros / 1'000'000 < until; }
};

/// Where a certificate's authority answers.
struct OcspResponder {
  std::string url;
  std::string host;  ///< a name or an address, an IPv6 one without brackets
  std::uint16_t port = 80;
  std::string target;  ///< of the request
};
/// Of the first URL in the certificate that begins with "http://"; nothing if there is none.
std::optional<OcspResponder> ocsp_responder(const X509* leaf);

/// What is asked of it (DER), as the body of a POST. RFC 6960 section 4.1. Without a nonce, so that
/// responders can answer what they have signed in advance (RFC 5019).
std::string ocsp_request(const X509* leaf, const X509* issuer);

struct OcspFault {
  std::string text;  ///< goes on where "the OCSP response" begins
  bool revoked = false;
};
/// Reads a response (DER). `issuer`: verifies who has signed it; nullptr: it is not known. One that
/// does not say how long it holds is taken for a day.
std::expected<OcspResponse, OcspFault> read_ocsp_response(std::string der, const X509* leaf,
                                                          X509* issuer, WallTime now);

}  // namespace weir::tls
