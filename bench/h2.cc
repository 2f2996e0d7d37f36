// SPDX-License-Identifier: Apache-2.0
#include "h2.h"

#include <algorithm>
#include <array>

#include "sockets.h"

namespace weir::bench {
namespace {

constexpr std::size_t kProduceMin = 64 * 1024;
constexpr std::array<std::string_view, 6> kLeftOut = {
    "connection", "host", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"};

}  // namespace

H2Callbacks h2_callbacks() {
  nghttp2_session_callbacks* callbacks = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) fail("nghttp2");
  return H2Callbacks(callbacks);
}

void h2_introduce(nghttp2_session* session, std::int32_t stream_window,
                  std::int32_t connection_window, std::uint32_t streams) {
  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, streams},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, static_cast<std::uint32_t>(stream_window)},
  }};
  // RFC 9113 section 8.4: only a client speaks of push.
  const std::size_t skipped = nghttp2_session_check_server_session(session) != 0 ? 1 : 0;
  if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings.data() + skipped,
                              settings.size() - skipped) != 0 ||
      nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, connection_window) !=
          0) {
    fail("nghttp2");
  }
}

bool h2_produce(nghttp2_session* session, std::string& out) {
  while (out.size() < kProduceMin) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session, &data);
    if (size <= 0) return size == 0;
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(size));
  }
  return true;
}

nghttp2_nv h2_field(std::string_view name, std::string_view value) {
  auto* name_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
  auto* value_bytes = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
  return {name_bytes, value_bytes, name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

void h2_append_fields(std::string& head, std::vector<nghttp2_nv>& fields) {
  const std::string_view whole = head;
  for (std::size_t at = whole.find("\r\n") + 2; !whole.substr(at).starts_with("\r\n");) {
    const std::size_t colon = whole.find(':', at);
    const std::size_t end = whole.find("\r\n", at);
    for (std::size_t i = at; i < colon; ++i) {
      if (head[i] >= 'A' && head[i] <= 'Z') head[i] = static_cast<char>(head[i] | 0x20);
    }
    const std::string_view name = whole.substr(at, colon - at);
    const std::size_t value = whole.find_first_not_of(' ', colon + 1);
    if (std::ranges::find(kLeftOut, name) == kLeftOut.end()) {
      fields.push_back(h2_field(name, whole.substr(value, end - value)));
    }
    at = end + 2;
  }
}

}  // namespace weir::bench
