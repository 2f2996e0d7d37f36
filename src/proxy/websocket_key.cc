// SPDX-License-Identifier: Apache-2.0
#include "proxy/websocket_key.h"

#include <openssl/evp.h>

#include <array>
#include <cstring>

namespace weir::proxy {
namespace {

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::array<unsigned char, 4 * EVP_MAX_MD_SIZE> encoded;
  const int length = EVP_EncodeBlock(encoded.data(), bytes, static_cast<int>(size));
  return {reinterpret_cast<const char*>(encoded.data()), static_cast<std::size_t>(length)};
}

}  // namespace

std::string websocket_key(Random& random) {
  const std::array<std::uint64_t, 2> words = {random.next(), random.next()};
  std::array<unsigned char, sizeof words> bytes;
  std::memcpy(bytes.data(), words.data(), sizeof words);
  return base64(bytes.data(), bytes.size());
}

std::string websocket_accept(std::string_view key) {
  std::string text(key);
  text += "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  WEIR_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1);
  return base64(digest.data(), size);
}

}  // namespace weir::proxy
