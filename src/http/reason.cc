// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "http/head.h"

namespace weir::http {
namespace {

struct Row {
  int status;
  std::string_view phrase;
};

// The registry of RFC 9110 section 16.2.1, and the 499 that access logs use.
constexpr auto kPhrases = std::to_array<Row>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
});

constexpr int kFirst = 100;

consteval std::array<std::uint8_t, 500> make_rows() {
  std::array<std::uint8_t, 500> rows{};
  for (std::size_t i = 0; i < kPhrases.size(); ++i) {
    rows[static_cast<std::size_t>(kPhrases[i].status - kFirst)] = static_cast<std::uint8_t>(i + 1);
  }
  return rows;
}
constexpr auto kRows = make_rows();

}  // namespace

std::string_view reason_phrase(int status) {
  const auto index = static_cast<std::size_t>(status - kFirst);
  if (status < kFirst || index >= kRows.size() || kRows[index] == 0) return "Unknown";
  return kPhrases[kRows[index] - 1u].phrase;
}

}  // namespace weir::http
