// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <array>
#include <cerrno>

#include "base/assert.h"

namespace weir {
namespace {

constexpr auto kCauses = std::to_array<CauseText>({
    {"none", 0, "no failure", ""},
#define WEIR_CAUSE(name, status, what, advice) {#name, status, what, advice},
#include "base/causes.def"
#undef WEIR_CAUSE
});

}  // namespace

const CauseText& describe(Cause cause) {
  const auto index = static_cast<std::size_t>(cause);
  WEIR_ASSERT(index < kCauses.size());
  return kCauses[index];
}

Cause cause_from_name(std::string_view name) {
  for (std::size_t i = 1; i < kCauses.size(); ++i) {
    if (kCauses[i].name == name) return static_cast<Cause>(i);
  }
  return Cause::none;
}

std::size_t cause_count() { return kCauses.size(); }

Error os_error(int os_errno, const char* where) {
  const auto make = [&](Code code) { return Error{code, Cause::none, os_errno, where}; };
  switch (os_errno) {
    case EAGAIN: WEIR_UNREACHABLE("EAGAIN is a wait, not a failure");
    case ECONNRESET:
    case EPIPE:
    case ECONNABORTED:
    case ENOTCONN: return make(Code::reset);
    case ETIMEDOUT: return make(Code::timed_out);
    case ECANCELED: return make(Code::cancelled);
    case ECONNREFUSED:
    case ENOENT: return make(Code::refused);
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case EACCES:
    case EPERM:
    case EADDRNOTAVAIL: return make(Code::unreachable);
    case ENOMEM:
    case ENOBUFS: return make(Code::no_memory);
    case EMFILE:
    case ENFILE: return make(Code::no_descriptors);
    default: return make(Code::os);
  }
}

std::string_view name(Code code) {
  switch (code) {
    case Code::closed: return "closed";
    case Code::reset: return "reset";
    case Code::timed_out: return "timed out";
    case Code::cancelled: return "cancelled";
    case Code::refused: return "refused";
    case Code::unreachable: return "unreachable";
    case Code::no_memory: return "no memory";
    case Code::no_descriptors: return "no descriptors";
    case Code::unresolved: return "unresolved";
    case Code::malformed: return "malformed";
    case Code::os: return "system error";
  }
  WEIR_UNREACHABLE("code");
}

}  // namespace weir
