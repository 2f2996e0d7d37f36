// SPDX-License-Identifier: Apache-2.0
//
// A certificate with its chain and its key, from PEM files, and what is wrong with it. Loading
// reads files and may wait for them: at start and at a reload, never while connections are served
// by the same thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "tls/ocsp.h"
#include "tls/openssl.h"

namespace weir::tls {

/// Something that an operator has to know about a certificate.
struct Problem {
  enum class Kind : std::uint8_t {
    error,    ///< it cannot be used
    warning,  ///< it is used
  };
  Kind kind = Kind::error;
  std::string text;  ///< names the file
};

inline void add_error(std::vector<Problem>& problems, std::string text) {
  problems.push_back({Problem::Kind::error, std::move(text)});
}

struct CertificateFiles {
  std::string certificate;  ///< the certificate, and behind it those that lead to a root
  std::string key;          ///< empty: in the same file
  bool operator==(const CertificateFiles&) const = default;
};

/// Shared by workers, and immutable but for what its authority says.
class Certificate {
 public:
  enum class Type : std::uint8_t { rsa, ecdsa, other };

  /// Nothing if it cannot be used; `problems` says why, and what else there is to say. A response
  /// of its authority (OCSP) is taken from a file of the certificate's name and ".ocsp".
  static std::shared_ptr<const Certificate> load(const CertificateFiles& files, WallTime now,
                                                 std::vector<Problem>& problems);
  /// For development: made now, in memory, for localhost and this host name. Nobody trusts it.
  static std::shared_ptr<const Certificate> self_signed(std::string_view host, WallTime now);

  [[nodiscard]] const std::string& file() const { return file_; }
  /// DNS names and IP addresses, in lower case; a wildcard as "*.example.com".
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] bool covers(std::string_view host) const;
  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] std::int64_t expires() const { return expires_; }  ///< seconds since the epoch
  /// Of the leaf: SHA-256, in bytes.
  [[nodiscard]] std::string digest() const;
  /// What its authority says of it, and is stapled; nullptr: that is not known. Any thread.
  [[nodiscard]] std::shared_ptr<const OcspResponse> ocsp() const { return ocsp_.load(); }
  /// Replaces it, also for handshakes under way. Any thread.
  void set_ocsp(std::shared_ptr<const OcspResponse> response) const {
    ocsp_.store(std::move(response));
  }

  [[nodiscard]] X509* leaf() const { return leaf_.get(); }
  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }
  [[nodiscard]] const std::vector<X509Ptr>& chain() const { return chain_; }
  /// nullptr if the file does not have it.
  [[nodiscard]] X509* issuer() const { return chain_.empty() ? nullptr : chain_.front().get(); }

 private:
  friend struct CertificateLoader;
  Certificate() = default;

  std::string file_;
  std::vector<std::string> names_;
  Type type_ = Type::other;
  std::int64_t expires_ = 0;
  mutable std::atomic<std::shared_ptr<const OcspResponse>> ocsp_;
  X509Ptr leaf_;
  std::vector<X509Ptr> chain_;
  KeyPtr key_;
};

/// A name as certificates and SNI compare it: lower case, without a dot at its end.
std::string canonical_name(std::string_view name);

}  // namespace weir::tls
