// SPDX-License-Identifier: Apache-2.0
#include "http/date.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace weir::http {
namespace {

constexpr std::int64_t kFirst = -62167219200;  // 0000-01-01 00:00:00
constexpr std::int64_t kLast = 253402300799;   // 9999-12-31 23:59:59
constexpr std::int64_t kSecondsPerDay = 86400;

void put_digits(char* to, unsigned value, int width) {
  for (int i = width - 1; i >= 0; --i, value /= 10) to[i] = static_cast<char>('0' + value % 10);
}

}  // namespace

std::string_view format_date(std::int64_t unix_seconds, std::array<char, kDateSize>& space) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::int64_t seconds = std::clamp(unix_seconds, kFirst, kLast);
  const std::int64_t of_day = (seconds % kSecondsPerDay + kSecondsPerDay) % kSecondsPerDay;
  const std::chrono::sys_days day{std::chrono::days{(seconds - of_day) / kSecondsPerDay}};
  const std::chrono::year_month_day date{day};
  const unsigned weekday = std::chrono::weekday{day}.c_encoding();

  char* out = space.data();
  std::memcpy(out, "Xxx, 00 Xxx 0000 00:00:00 GMT", kDateSize);
  std::memcpy(out, kDays.data() + weekday * 3, 3);
  put_digits(out + 5, unsigned{date.day()}, 2);
  std::memcpy(out + 8, kMonths.data() + (unsigned{date.month()} - 1) * 3, 3);
  put_digits(out + 12, static_cast<unsigned>(int{date.year()}), 4);
  put_digits(out + 17, static_cast<unsigned>(of_day / 3600), 2);
  put_digits(out + 20, static_cast<unsigned>(of_day / 60 % 60), 2);
  put_digits(out + 23, static_cast<unsigned>(of_day % 60), 2);
  return {space.data(), space.size()};
}

}  // namespace weir::http
