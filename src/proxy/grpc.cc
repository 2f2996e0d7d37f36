// SPDX-License-Identifier: Apache-2.0
#include "proxy/grpc.h"

#include <fmt/format.h>

#include <iterator>

namespace weir::proxy {

bool is_grpc(const http::RequestHead& head) {
  if (head.version != http::Version::http2 || head.method != http::Method::post) return false;
  constexpr std::string_view kType = "application/grpc";
  const http::Field* type = head.fields.find(http::FieldId::content_type);
  if (type == nullptr || !type->value.starts_with(kType)) return false;
  // Not application/grpc-web, which carries its status in the body.
  const std::string_view rest = type->value.substr(kType.size());
  return rest.empty() || rest.front() == '+' || rest.front() == ';';
}

std::string_view grpc_status(Cause cause) {
  switch (describe(cause).http_status) {
    case 400:
    case 431: return "13";  // INTERNAL
    case 401: return "16";  // UNAUTHENTICATED
    case 403: return "7";   // PERMISSION_DENIED
    case 404: return "12";  // UNIMPLEMENTED
    case 413: return "8";   // RESOURCE_EXHAUSTED
    case 429:
    case 502:
    case 503:
    case 504: return "14";  // UNAVAILABLE
    default: return "2";    // UNKNOWN
  }
}

std::string grpc_message(std::string_view text) {
  std::string message;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      message += c;
    } else {
      fmt::format_to(std::back_inserter(message), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return message;
}

}  // namespace weir::proxy
