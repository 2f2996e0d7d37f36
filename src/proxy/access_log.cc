// SPDX-License-Identifier: Apache-2.0
#include "proxy/access_log.h"

#include <array>
#include <charconv>
#include <concepts>
#include <cstring>

#include "base/assert.h"
#include "base/utf8.h"

namespace weir::proxy {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kHexLower = "0123456789abcdef";
constexpr std::string_view kHexUpper = "0123456789ABCDEF";
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// A moment of UTC, taken apart.
struct Civil {
  std::int64_t year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
  unsigned hour, minute, second, milli;
};

/// Days since 1970-01-01 to the proleptic Gregorian calendar, by counting from 1 March of a year
/// that is divisible by 400, so that the leap day is the last of its year.
void set_date(Civil& civil, std::int64_t days) {
  const std::int64_t shifted = days + 719'468;
  const std::int64_t era = (shifted >= 0 ? shifted : shifted - 146'096) / 146'097;
  const auto day_of_era = static_cast<unsigned>(shifted - era * 146'097);
  const unsigned year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const unsigned day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const unsigned march_month = (5 * day_of_year + 2) / 153;
  civil.day = day_of_year - (153 * march_month + 2) / 5 + 1;
  civil.month = march_month < 10 ? march_month + 3 : march_month - 9;
  civil.year = static_cast<std::int64_t>(year_of_era) + era * 400 + (civil.month <= 2 ? 1 : 0);
}

Civil civil_time(WallTime time) {
  constexpr std::int64_t kDayMillis = 86'400'000;
  const std::int64_t millis =
      time.micros >= 0 ? time.micros / 1000 : -((-time.micros + 999) / 1000);
  std::int64_t days = millis / kDayMillis;
  std::int64_t rest = millis % kDayMillis;
  if (rest < 0) {
    rest += kDayMillis;
    --days;
  }
  Civil civil{};
  civil.milli = static_cast<unsigned>(rest % 1000);
  civil.second = static_cast<unsigned>(rest / 1000 % 60);
  civil.minute = static_cast<unsigned>(rest / 60'000 % 60);
  civil.hour = static_cast<unsigned>(rest / 3'600'000);
  set_date(civil, days);
  WEIR_ASSERT(civil.month >= 1 && civil.month <= 12);
  return civil;
}

/// `value` with leading zeros to at least `width` digits.
void append_padded(std::string& out, std::uint64_t value, std::size_t width) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const auto size = static_cast<std::size_t>(end - digits.data());
  if (size < width) out.append(width - size, '0');
  out.append(digits.data(), size);
}

void append_number(std::string& out, std::uint64_t value) { append_padded(out, value, 1); }

/// A number below 100 and what stands behind it.
void append_two(std::string& out, unsigned value, char behind) {
  const std::array<char, 3> text = {static_cast<char>('0' + value / 10 % 10),
                                    static_cast<char>('0' + value % 10), behind};
  out.append(text.data(), text.size());
}

/// Microseconds as milliseconds with three decimals: exact, and no floating point.
void append_millis(std::string& out, Micros value) {
  const auto micros = static_cast<std::uint64_t>(value.count() < 0 ? 0 : value.count());
  append_number(out, micros / 1000);
  out += '.';
  append_padded(out, micros % 1000, 3);
}

constexpr bool plain_in_json(unsigned char c) {
  return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/// Whether all eight bytes are plain in JSON.
constexpr bool plain_in_json(std::uint64_t bytes) {
  constexpr std::uint64_t kEach = 0x0101010101010101;
  constexpr std::uint64_t kHigh = 0x80 * kEach;
  // The high bit of some byte is set where one is less than n or equal to c; not always the same
  // one.
  const auto some_below = [&](std::uint64_t n) { return (bytes - n * kEach) & ~bytes; };
  const auto some_equal = [&](std::uint64_t c) {
    const std::uint64_t zero = bytes ^ (c * kEach);
    return (zero - kEach) & ~zero;
  };
  const std::uint64_t special =
      bytes | some_below(0x20) | some_equal('"') | some_equal('\\') | some_equal(0x7F);
  return (special & kHigh) == 0;
}

/// How many bytes at the front of `text` are plain in JSON.
std::size_t plain_prefix(std::string_view text) {
  std::size_t at = 0;
  for (std::uint64_t word = 0; text.size() - at >= sizeof word; at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    if (!plain_in_json(word)) break;
  }
  while (at < text.size() && plain_in_json(static_cast<unsigned char>(text[at]))) ++at;
  return at;
}

/// The first byte of `text`, which is not plain in JSON. Returns how many bytes it took.
std::size_t append_json_escape(std::string& out, std::string_view text) {
  const auto c = static_cast<unsigned char>(text.front());
  if (c >= 0x80) {
    const std::size_t size = utf8_sequence(text);
    out += size == 0 ? kReplacement : text.substr(0, size);
    return size == 0 ? 1 : size;
  }
  out += '\\';
  if (c == '"' || c == '\\') {
    out += static_cast<char>(c);
  } else {
    out += "u00";
    out += kHexLower[c >> 4];
    out += kHexLower[c & 15];
  }
  return 1;
}

enum class Spaces : std::uint8_t { keep, escape };

/// As nginx escapes a variable of its log format.
void append_escaped(std::string& out, std::string_view text, Spaces spaces) {
  if (text.empty()) out += '-';
  for (const char raw : text) {
    const auto c = static_cast<unsigned char>(raw);
    const bool plain = c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
    if (plain && (c != ' ' || spaces == Spaces::keep)) {
      out += raw;
    } else {
      out += "\\x";
      out += kHexUpper[c >> 4];
      out += kHexUpper[c & 15];
    }
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text, Spaces::keep);
  out += '"';
}

/// "[10/Oct/2000:13:55:36 +0000]"
void append_clf_time(std::string& out, WallTime time) {
  const Civil civil = civil_time(time);
  out += '[';
  append_two(out, civil.day, '/');
  out += kMonths.substr((civil.month - 1) * 3, 3);
  out += '/';
  append_padded(out, static_cast<std::uint64_t>(civil.year), 4);
  out += ':';
  append_two(out, civil.hour, ':');
  append_two(out, civil.minute, ':');
  append_two(out, civil.second, ' ');
  out += "+0000]";
}

void append_request_line(std::string& out, const Record& record) {
  out += '"';
  append_escaped(out, record.method, Spaces::escape);
  if (!record.target.empty()) {
    out += ' ';
    append_escaped(out, record.target, Spaces::escape);
  }
  if (!record.protocol.empty() && !record.method.empty()) {
    out += ' ';
    append_escaped(out, record.protocol, Spaces::escape);
  }
  out += '"';
}

/// Members of the object that is being written; a name comes with what stands around it.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}

  void text(std::string_view name, std::string_view value) {
    out_ += name;
    append_json_string(out_, value);
  }
  void number(std::string_view name, std::uint64_t value) {
    out_ += name;
    append_number(out_, value);
  }
  void millis(std::string_view name, Micros value) {
    out_ += name;
    append_millis(out_, value);
  }

 private:
  std::string& out_;
};

std::uint64_t count(std::integral auto value) {
  return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

}  // namespace

void append_rfc3339(std::string& out, WallTime time) {
  const Civil civil = civil_time(time);
  append_padded(out, count(civil.year), 4);
  out += '-';
  append_two(out, civil.month, '-');
  append_two(out, civil.day, 'T');
  append_two(out, civil.hour, ':');
  append_two(out, civil.minute, ':');
  append_two(out, civil.second, '.');
  append_padded(out, civil.milli, 3);
  out += 'Z';
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t plain = plain_prefix(text);
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (!text.empty()) text.remove_prefix(append_json_escape(out, text));
  }
  out += '"';
}

void append_json(std::string& out, const Record& record) {
  out += "{\"time\":\"";
  append_rfc3339(out, record.started);
  out += '"';
  Members members(out);
  members.text(R"(,"client":)", record.client);
  members.text(R"(,"method":)", record.method);
  members.text(R"(,"host":)", record.host);
  members.text(R"(,"path":)", record.target);
  members.number(R"(,"status":)", count(record.status));
  members.number(R"(,"bytes_sent":)", record.bytes_sent);
  members.number(R"(,"bytes_received":)", record.bytes_received);
  members.millis(R"(,"duration_ms":)", record.duration);
  if (record.first_byte.count() >= 0) members.millis(R"(,"first_byte_ms":)", record.first_byte);
  if (record.connect.count() >= 0) members.millis(R"(,"connect_ms":)", record.connect);
  members.text(R"(,"route":)", record.route);
  members.text(R"(,"upstream":)", record.upstream);
  members.text(R"(,"server":)", record.server);
  members.text(R"(,"cause":)", record.cause == Cause::none ? "" : describe(record.cause).name);
  members.number(R"(,"retries":)", count(record.retries));
  members.text(R"(,"request_id":)", record.request_id);
  members.text(R"(,"protocol":)", record.protocol);
  if (!record.tls_version.empty()) {
    members.text(R"(,"tls":)", record.tls_version);
    members.text(R"(,"cipher":)", record.tls_cipher);
  }
  if (!record.detail.empty()) members.text(R"(,"detail":)", record.detail);
  members.text(R"(,"user_agent":)", record.user_agent);
  members.text(R"(,"referer":)", record.referer);
  out += "}\n";
}

void append_combined(std::string& out, const Record& record) {
  append_escaped(out, record.client, Spaces::escape);
  out += " - ";
  append_escaped(out, record.user, Spaces::escape);
  out += ' ';
  append_clf_time(out, record.started);
  out += ' ';
  append_request_line(out, record);
  out += ' ';
  append_padded(out, count(record.status), 3);
  out += ' ';
  append_number(out, record.bytes_sent);
  out += ' ';
  append_quoted(out, record.referer);
  out += ' ';
  append_quoted(out, record.user_agent);
  out += '\n';
}

}  // namespace weir::proxy
