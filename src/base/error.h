// SPDX-License-Identifier: Apache-2.0
//
// Errors as values. An Error says what went wrong (a cause, one row of causes.def, or ok), what the
// system call said, and where in the code it arose. It is small, trivially copyable and never
// allocates, so that it can travel through every layer of the data path for free.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace weir {

/// Why something did not end well. `none` is the only value that is not a row of causes.def.
enum class Cause : std::uint16_t {
  none = 0,
#define WEIR_CAUSE(name, status, what, advice) name,
#include "base/causes.def"
#undef WEIR_CAUSE
};

/// What an operator can be told about a cause. Views of static storage.
struct CauseText {
  std::string_view name;    ///< the word used in logs, metrics and `weir explain`
  int http_status;          ///< the answer when nothing was sent yet; 0: none possible
  std::string_view what;    ///< what happened, one clause
  std::string_view advice;  ///< what to do about it
};

const CauseText& describe(Cause cause);
Cause cause_from_name(std::string_view name);  ///< `none` if there is no such cause
std::size_t cause_count();                     ///< rows + 1; Cause values are below it

/// What happened to one operation, before anybody decided what it means for the exchange.
enum class Code : std::uint8_t {
  closed,          ///< the peer ended the stream where more was due
  reset,           ///< the peer or the network broke the connection (ECONNRESET, EPIPE, …)
  timed_out,       ///< the operation's own deadline passed
  cancelled,       ///< the owner asked for an end
  refused,         ///< ECONNREFUSED, or ENOENT of a unix socket
  unreachable,     ///< no route, network down, no permission, no local port …
  no_memory,       ///< the buffer budget is used up
  no_descriptors,  ///< EMFILE, ENFILE
  unresolved,      ///< a name without an address
  malformed,       ///< the peer broke the protocol; `cause` says how
  os,              ///< anything else; os_errno says what
};

/// 16 bytes, trivially copyable.
struct Error {
  Code code = Code::os;
  Cause cause = Cause::none;    ///< set once somebody knows what it means for the exchange
  std::int32_t os_errno = 0;    ///< 0 when no system call was involved
  const char* where = nullptr;  ///< static text: the operation ("recv", "connect", …)

  /// The same failure with its meaning for the exchange.
  [[nodiscard]] constexpr Error as(Cause meaning) const {
    Error e = *this;
    e.cause = meaning;
    return e;
  }
};
static_assert(sizeof(Error) == 16);

template <class T>
using Result = std::expected<T, Error>;

constexpr std::unexpected<Error> fail(Code code, const char* where, int os_errno = 0) {
  return std::unexpected(Error{code, Cause::none, os_errno, where});
}
constexpr std::unexpected<Error> fail(Cause cause, const char* where) {
  return std::unexpected(Error{Code::malformed, cause, 0, where});
}
constexpr std::unexpected<Error> fail(Error e) { return std::unexpected(e); }

/// The failure of a system call on a stream, by errno. EAGAIN is not a failure and asserts.
Error os_error(int os_errno, const char* where);
std::string_view name(Code code);

/// States in code that a result is dropped on purpose.
template <class T>
void ignore(T&&, const char* /*why*/) {}

}  // namespace weir

/// `WEIR_TRY(x, expr);` declares x from a Result or returns its error. Statements, not expressions.
#define WEIR_TRY(var, expr)                                        \
  auto var##_result = (expr);                                      \
  if (!var##_result) return std::unexpected(var##_result.error()); \
  auto& var = *var##_result
#define WEIR_CO_TRY(var, expr)                                        \
  auto var##_result = (expr);                                         \
  if (!var##_result) co_return std::unexpected(var##_result.error()); \
  auto& var = *var##_result
