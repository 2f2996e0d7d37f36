// SPDX-License-Identifier: Apache-2.0
#include "http/encode.h"

#include <charconv>
#include <utility>

#include "base/assert.h"
#include "http/chars.h"
#include "http/passed_fields.h"

namespace weir::http {
namespace {

/// Writes to memory that was measured before.
class Writer {
 public:
  explicit Writer(char* at) : at_(at) {}

  void text(std::string_view s) { at_ += s.copy(at_, s.size()); }
  void number(std::uint64_t n) { at_ = std::to_chars(at_, at_ + kNumberMax, n).ptr; }
  void field(std::string_view name, std::string_view value) {
    text(name);
    text(": ");
    text(value);
    text("\r\n");
  }
  /// A value that did not come from a parser. RFC 9110 section 5.5: CR, LF and NUL become SP.
  void foreign_field(std::string_view name, std::string_view value) {
    if (all_field_bytes(value)) return field(name, value);
    text(name);
    text(": ");
    while (!value.empty()) {
      const char* const end = value.data() + value.size();
      const char* const stop = find_field_stop(value.data(), end);
      text(value.substr(0, static_cast<std::size_t>(stop - value.data())));
      if (stop == end) break;
      *at_++ = ' ';
      value.remove_prefix(static_cast<std::size_t>(stop + 1 - value.data()));
    }
    text("\r\n");
  }
  /// A target that a rewrite may have made: what a parser would refuse is escaped.
  void target(std::string_view s) {
    if (all_of_class(s, kTargetByte)) return text(s);
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : s) {
      if (is(c, kTargetByte)) {
        *at_++ = c;
        continue;
      }
      const auto byte = static_cast<unsigned char>(c);
      *at_++ = '%';
      *at_++ = kHex[byte >> 4];
      *at_++ = kHex[byte & 15];
    }
  }
  [[nodiscard]] char* at() const { return at_; }

  static constexpr std::size_t kNumberMax = 20;

 private:
  char* at_;
};

/// Appends what `write` writes into at most `size_max` bytes.
template <class Write>
void append_at_most(std::string& out, std::size_t size_max, Write&& write) {
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + size_max, [&](char* data, std::size_t size) {
    Writer writer(data + before);
    write(writer);
    const auto written = static_cast<std::size_t>(writer.at() - data);
    WEIR_ASSERT(written <= size);
    return written;
  });
}

/// What is written, and what is written beside the fields that are passed on.
struct Plan : PassedFields {
  Plan(const FieldList& of, std::span<const HeadEdit> by, const Framing& how, Doubles doubles)
      : PassedFields(of, by, doubles,
                     how.body.kind == BodyLength::Kind::chunked ? Trailer::pass : Trailer::drop),
        framing(how) {}
  const Framing& framing;
  std::string_view authority;    // requests: replaces the value of Host when not empty
  bool te_trailers = false;      // requests
  bool expect_continue = false;  // requests
  bool lengths = true;           // may Content-Length or Transfer-Encoding be written?
};

void write_edits(Writer& to, std::span<const HeadEdit> edits) {
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (adds(edits, i)) to.foreign_field(edits[i].name, edits[i].value);
  }
}

/// RFC 9110 section 6.6.1: who forwards a response without Date says when it came. A rule of the
/// configuration about Date has the last word.
void write_date(Writer& to, const Plan& plan) {
  if (plan.framing.date.empty() || plan.fields.find(FieldId::date) != nullptr) return;
  for (const HeadEdit& edit : plan.edits) {
    if (edit.id == FieldId::date) return;
  }
  to.field("Date", plan.framing.date);
}

void write_length(Writer& to, const Plan& plan) {
  const BodyLength& body = plan.framing.body;
  if (plan.framing.keep_content_length) {
    const Field* field = plan.fields.find(FieldId::content_length);
    // Repeated equal values were accepted as one. RFC 9112 section 6.3 item 5.
    if (field != nullptr && plan.lengths) {
      to.field(field->name, field->value.substr(0, field->value.find_first_of(", \t")));
    }
    return;
  }
  switch (body.kind) {
    case BodyLength::Kind::known:
      if (!plan.lengths) return;
      to.text("Content-Length: ");
      to.number(body.bytes);
      to.text("\r\n");
      return;
    case BodyLength::Kind::chunked:
      if (plan.lengths) to.text("Transfer-Encoding: chunked\r\n");
      return;
    case BodyLength::Kind::none:
    case BodyLength::Kind::until_close: return;
  }
}

void write_connection(Writer& to, const Plan& plan) {
  const Framing& framing = plan.framing;
  const bool http10 = framing.version == Version::http10;
  if (!framing.upgrade.empty() && !http10) {
    to.text("Connection: Upgrade\r\n");
    to.foreign_field("Upgrade", framing.upgrade);
  } else if (!framing.keep_alive) {
    to.text("Connection: close\r\n");
  } else if (http10) {
    to.text("Connection: keep-alive\r\n");
  }
  if (plan.te_trailers && !http10) {
    // RFC 9110 section 10.1.4: TE is named in Connection.
    to.text("Connection: TE\r\nTE: trailers\r\n");
  }
  if (plan.expect_continue && !http10) to.text("Expect: 100-continue\r\n");
}

/// Lines that stood one behind the other and all pass are one copy.
void write_received(Writer& to, const Plan& plan) {
  std::string_view lines;
  const auto write_lines = [&] { to.text(std::exchange(lines, {})); };
  for (const Field& field : plan.fields) {
    if (!plan.passes(field)) continue;
    const bool replaced = field.id == FieldId::host && !plan.authority.empty() &&
                          plan.authority.data() != field.value.data();
    if (replaced || !field.whole_line) {
      write_lines();
      to.field(field.name, replaced ? plan.authority : field.value);
      continue;
    }
    const char* const begin = field.name.data();
    const std::size_t size = field.name.size() + 2 + field.value.size() + 2;
    if (begin == lines.data() + lines.size()) {
      lines = {lines.data(), lines.size() + size};
    } else {
      write_lines();
      lines = {begin, size};
    }
  }
  write_lines();
}

void write_fields(Writer& to, const Plan& plan) {
  write_received(to, plan);
  write_edits(to, plan.edits);
  write_date(to, plan);
  write_length(to, plan);
  write_connection(to, plan);
  to.text("\r\n");
}

std::size_t fields_size_max(const Plan& plan) {
  // Everything that write_length and write_connection can write, without the variable parts.
  constexpr std::size_t kFraming = 256;
  std::size_t size = kFraming + plan.framing.upgrade.size() + plan.authority.size();
  for (const Field& field : plan.fields) size += field.name.size() + field.value.size() + 4;
  for (const HeadEdit& edit : plan.edits) size += edit.name.size() + edit.value.size() + 4;
  return size;
}

std::string_view version_text(Version version) {
  WEIR_ASSERT(version == Version::http10 || version == Version::http11);
  return version == Version::http10 ? "HTTP/1.0" : "HTTP/1.1";
}

void check(const Framing& framing) {
  // RFC 9112 section 6.1: never chunked to HTTP/1.0.
  WEIR_ASSERT(framing.version == Version::http11 || framing.body.kind != BodyLength::Kind::chunked);
  WEIR_ASSERT(framing.body.kind != BodyLength::Kind::until_close || !framing.keep_alive);
}

}  // namespace

void encode_request(std::string& out, const RequestHead& head, std::string_view target,
                    std::span<const HeadEdit> edits, const Framing& framing) {
  check(framing);
  WEIR_ASSERT(framing.body.kind != BodyLength::Kind::until_close);
  Plan plan(head.fields, edits, framing, Plan::Doubles::drop);
  plan.authority = head.authority;
  plan.te_trailers = head.te_trailers;
  plan.expect_continue = head.expect_continue;
  const std::size_t line = head.method_name.size() + 3 * target.size();
  append_at_most(out, line + fields_size_max(plan), [&](Writer& to) {
    to.text(head.method_name);
    to.text(" ");
    to.target(target);
    to.text(" ");
    to.text(version_text(framing.version));
    to.text("\r\n");
    // RFC 9112 section 3.2: Host is sent in every request, and first.
    if (head.fields.find(FieldId::host) == nullptr && !drops(edits, "host", FieldId::host)) {
      to.field("Host", head.authority);
    }
    write_fields(to, plan);
  });
}

void encode_response(std::string& out, const ResponseHead& head, std::span<const HeadEdit> edits,
                     const Framing& framing) {
  check(framing);
  WEIR_ASSERT(head.status >= 100 && head.status <= 999);
  Plan plan(head.fields, edits, framing, Plan::Doubles::pass);
  plan.lengths =
      head.status >= 200 && head.status != 204;  // RFC 9110 section 8.6, 9112 section 6.1
  const std::string_view reason = head.reason.empty() ? reason_phrase(head.status) : head.reason;
  append_at_most(out, reason.size() + fields_size_max(plan), [&](Writer& to) {
    to.text(version_text(framing.version));
    to.text(" ");
    to.number(static_cast<std::uint64_t>(head.status));
    to.text(" ");
    to.text(reason);
    to.text("\r\n");
    write_fields(to, plan);
  });
}

void encode_trailers(std::string& out, const FieldList& trailers, const TrailerRules& rules) {
  std::size_t size = 2;
  for (const Field& field : trailers) size += field.name.size() + field.value.size() + 4;
  append_at_most(out, size, [&](Writer& to) {
    for (const Field& field : trailers) {
      if (allowed_in_trailers(field, rules)) to.field(field.name, field.value);
    }
    to.text("\r\n");
  });
}

}  // namespace weir::http
