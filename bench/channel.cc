// SPDX-License-Identifier: Apache-2.0
#include "channel.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace weir::bench {
namespace {

constexpr std::size_t kRecordMax = SSL3_RT_MAX_PLAIN_LENGTH;

/// The first piece, or as many pieces as one record holds, put together in `record`.
std::string_view one_record(std::span<const iovec> pieces, std::span<char> record) {
  const iovec& first = pieces.front();
  if (pieces.size() == 1 || first.iov_len >= record.size()) {
    return {static_cast<const char*>(first.iov_base), first.iov_len};
  }
  std::size_t size = 0;
  for (const iovec& piece : pieces) {
    const std::size_t step = std::min(piece.iov_len, record.size() - size);
    std::memcpy(record.data() + size, piece.iov_base, step);
    size += step;
  }
  return {record.data(), size};
}

}  // namespace

void Channel::open(int fd) {
  fd_ = fd;
  established_ = true;
}

void Channel::secure(const Tls& tls) {
  tls_ = tls.connection(fd_, session_);
  established_ = false;
  short_read_ = false;
  BIO* bio = SSL_get_rbio(tls_.get());
  BIO_set_callback_ex(bio, note_short_reads);
  BIO_set_callback_arg(bio, reinterpret_cast<char*>(this));
}

/// Without this each message would cost one more receive, in vain.
long Channel::note_short_reads(BIO* bio, int operation, const char*, std::size_t size, int, long,
                               int result, std::size_t* processed) {
  if (operation == (BIO_CB_READ | BIO_CB_RETURN)) {
    auto* channel = reinterpret_cast<Channel*>(BIO_get_callback_arg(bio));
    channel->short_read_ = result <= 0 || *processed < size;
  }
  return result;
}

Channel::Handshake Channel::handshake() {
  ERR_clear_error();
  const int result = SSL_do_handshake(tls_.get());
  if (result == 1) {
    established_ = true;
    return Handshake::done;
  }
  const int why = SSL_get_error(tls_.get(), result);
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? Handshake::later
                                                                   : Handshake::failed;
}

std::string_view Channel::protocol() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  if (tls_ != nullptr) SSL_get0_alpn_selected(tls_.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

ssize_t Channel::send(std::span<const iovec> pieces) {
  if (!established_) return fd_ < 0 ? -1 : 0;
  if (tls_ != nullptr) return send_secured(pieces);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(pieces.data());
  message.msg_iovlen = pieces.size();
  // A connection that is not established yet has no room, as any other full socket.
  const ssize_t sent = sendmsg(fd_, &message, MSG_NOSIGNAL);
  return sent < 0 && errno == EAGAIN ? 0 : sent;
}

ssize_t Channel::send_secured(std::span<const iovec> pieces) {
  std::array<char, kRecordMax> record;  // not initialised: filled as far as it is used
  const std::string_view bytes = one_record(pieces, record);
  ERR_clear_error();
  std::size_t sent = 0;
  const int result = SSL_write_ex(tls_.get(), bytes.data(), bytes.size(), &sent);
  if (result == 1) return static_cast<ssize_t>(sent);
  return SSL_get_error(tls_.get(), result) == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

ssize_t Channel::receive(std::span<char> into) {
  if (tls_ != nullptr) return receive_secured(into);
  return receive_clear(into.data(), into.size(), 0);
}

ssize_t Channel::receive_clear(char* into, std::size_t size, int flags) {
  const ssize_t got = recv(fd_, into, size, flags);
  drained_ = got < static_cast<ssize_t>(size);
  if (got >= 0) return got;
  return errno == EAGAIN ? -1 : 0;
}

ssize_t Channel::receive_secured(std::span<char> into) {
  ERR_clear_error();
  std::size_t got = 0;
  const int result = SSL_read_ex(tls_.get(), into.data(), into.size(), &got);
  drained_ = short_read_ && SSL_has_pending(tls_.get()) == 0;
  if (result == 1) return static_cast<ssize_t>(got);
  return SSL_get_error(tls_.get(), result) == SSL_ERROR_WANT_READ ? -1 : 0;
}

ssize_t Channel::discard(std::uint64_t size, std::span<char> scratch) {
  if (tls_ != nullptr) return receive(scratch.first(std::min<std::size_t>(size, scratch.size())));
  return receive_clear(scratch.data(), size, MSG_TRUNC);  // copies nothing
}

/// A server says goodbye, or what it has sent until the end could have been cut. A client that does
/// not would have its ticket taken for a bad one.
void Channel::say_goodbye() {
  if (tls_ == nullptr || !established_) return;
  ERR_clear_error();
  if (SSL_is_server(tls_.get()) == 1) {
    SSL_shutdown(tls_.get());
  } else {
    SSL_set_shutdown(tls_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

void Channel::close() {
  say_goodbye();
  tls_.reset();
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  established_ = false;
}

}  // namespace weir::bench
