// SPDX-License-Identifier: Apache-2.0
#include "tls/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/assert.h"
#include "base/bytes.h"

namespace weir::tls {
namespace {

using NamesPtr = std::unique_ptr<GENERAL_NAMES, Freeing<GENERAL_NAMES_free>>;

constexpr std::size_t kFileSizeMax = 4_MiB;
constexpr std::int64_t kExpiresSoon = 14L * 24 * 3600;

std::string date(const ASN1_TIME* time) {
  std::tm broken{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &broken) != 1) return "an unreadable date";
  std::array<char, 32> text;
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M UTC", &broken)};
}

int no_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::string address_name(const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  if (inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size()) == nullptr) {
    return {};
  }
  return text.data();
}

}  // namespace

std::string canonical_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string result(name);
  for (char& c : result) c = ascii_lower(c);
  return result;
}

struct CertificateLoader {
  std::shared_ptr<Certificate> made{new Certificate};
  std::vector<Problem>& problems;
  std::int64_t now;

  bool fail(std::string text) {
    problems.push_back({Problem::Kind::error, std::move(text)});
    return false;
  }
  void warn(std::string text) { problems.push_back({Problem::Kind::warning, std::move(text)}); }

  // Missing files are an error of those that need them only.
  bool read(const std::string& path, std::string& text) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      const int error = errno;
      std::string why = std::string(std::strerror(error));
      if (error == EACCES) {
        why +=
            ". Weir reads certificates and keys before it drops its privileges, and again when it "
            "reloads: start it as root with process.user set, or let its user read the file";
      }
      return fail("cannot read " + path + ": " + why);
    }
    text.resize(kFileSizeMax);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return true;
  }

  bool read_certificates(const std::string& path, const std::string& text) {
    const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
      X509Ptr owned(certificate);
      if (made->leaf_ == nullptr) {
        made->leaf_ = std::move(owned);
      } else {
        made->chain_.push_back(std::move(owned));
      }
    }
    const unsigned long end = ERR_peek_last_error();
    const bool damaged = ERR_GET_REASON(end) != PEM_R_NO_START_LINE;
    const std::string reason = openssl_reason();
    if (damaged) return fail("a certificate in " + path + " is damaged: " + reason);
    if (made->leaf_ == nullptr) return fail(path + " has no certificate in PEM format");
    return true;
  }

  bool read_key(const std::string& path, const std::string& text) {
    const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    bool encrypted = false;
    made->key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, &encrypted));
    const std::string reason = made->key_ ? std::string() : openssl_reason();
    if (encrypted) {
      return fail("the key in " + path +
                  " is encrypted with a pass phrase; write it without one: openssl pkey -in " +
                  path + " -out key.pem");
    }
    if (made->key_ == nullptr) {
      return fail(path + " has no private key in PEM format (" + reason + ")");
    }
    if (X509_check_private_key(made->leaf_.get(), made->key_.get()) != 1) {
      ERR_clear_error();
      return fail("the key in " + path + " does not belong to the certificate in " + made->file_ +
                  ": each certificate has a key of its own, and the server's certificate has to "
                  "be the first in its file");
    }
    return true;
  }

  void read_type() {
    const int id = EVP_PKEY_get_base_id(made->key_.get());
    made->type_ = id == EVP_PKEY_RSA  ? Certificate::Type::rsa
                  : id == EVP_PKEY_EC ? Certificate::Type::ecdsa
                                      : Certificate::Type::other;
  }

  void read_names() {
    const NamesPtr names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(made->leaf_.get(), NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
      const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
      if (name->type == GEN_DNS) {
        const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
        const auto size = static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName));
        made->names_.push_back(canonical_name({text, size}));
      } else if (name->type == GEN_IPADD) {
        made->names_.push_back(address_name(name->d.iPAddress));
      }
    }
    if (made->names_.empty()) {
      warn("the certificate in " + made->file_ +
           " has no subject alternative name: no client of today accepts it for any host");
    }
  }

  void read_dates() {
    const ASN1_TIME* from = X509_get0_notBefore(made->leaf_.get());
    const ASN1_TIME* until = X509_get0_notAfter(made->leaf_.get());
    made->expires_ = seconds(until);
    if (made->expires_ <= now) {
      warn("the certificate in " + made->file_ + " has expired on " + date(until));
    } else if (made->expires_ - now < kExpiresSoon) {
      warn("the certificate in " + made->file_ + " expires soon, on " + date(until));
    }
    if (seconds(from) > now) {
      warn("the certificate in " + made->file_ + " is not valid before " + date(from));
    }
  }

  void check_chain() {
    X509* last = made->leaf_.get();
    for (const X509Ptr& next : made->chain_) {
      if (X509_check_issued(next.get(), last) != X509_V_OK) {
        warn("the certificates in " + made->file_ +
             " are not in order: each has to be issued by the one behind it");
        return;
      }
      last = next.get();
    }
  }

  // What is wrong with the response costs the stapling, not the certificate.
  void read_ocsp() {
    const std::string path = made->file_ + ".ocsp";
    std::ifstream file(path, std::ios::binary);
    if (!file) return;
    std::ostringstream content;
    content << file.rdbuf();
    auto read =
        read_ocsp_response(content.str(), made->leaf(), made->issuer(), WallTime{now * 1'000'000});
    if (!read) {
      return warn("not stapled: the OCSP response in " + path + ' ' + read.error().text);
    }
    made->ocsp_ = std::make_shared<const OcspResponse>(std::move(*read));
  }

  bool load(const CertificateFiles& files) {
    made->file_ = files.certificate;
    std::string text;
    if (!read(files.certificate, text)) return false;
    if (!read_certificates(files.certificate, text)) return false;
    const bool same = files.key.empty();
    if (!same && !read(files.key, text)) return false;
    const bool read = read_key(same ? files.certificate : files.key, text);
    OPENSSL_cleanse(text.data(), text.size());
    if (!read) return false;
    describe();
    check_chain();
    read_ocsp();
    return true;
  }

  void describe() {
    read_type();
    read_names();
    read_dates();
  }

  void generate(const std::string& host);
};

std::shared_ptr<const Certificate> Certificate::load(const CertificateFiles& files, WallTime now,
                                                     std::vector<Problem>& problems) {
  CertificateLoader loader{.problems = problems, .now = now.micros / 1'000'000};
  if (!loader.load(files)) return nullptr;
  return loader.made;
}

namespace {

void add_extension(X509* certificate, int id, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
  WEIR_CHECK(extension != nullptr);
  WEIR_CHECK(X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

bool fit_for_certificate(const std::string& host) {
  return !host.empty() && host.size() < 64 &&
         std::ranges::all_of(
             host,
             [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
             });
}

}  // namespace

void CertificateLoader::generate(const std::string& host) {
  constexpr std::int64_t kDays = 397;  // more is refused by browsers
  made->file_ = "self-signed";
  made->key_.reset(EVP_EC_gen("P-256"));
  WEIR_CHECK(made->key_ != nullptr);
  made->leaf_.reset(X509_new());
  X509* certificate = made->leaf_.get();
  X509_set_version(certificate, X509_VERSION_3);
  std::array<unsigned char, 16> serial{};
  WEIR_CHECK(RAND_bytes(serial.data(), serial.size()) == 1);
  serial[0] = static_cast<unsigned char>((serial[0] & 0x3f) | 0x40);  // positive, no leading zero
  ASN1_STRING_set(X509_get_serialNumber(certificate), serial.data(), serial.size());
  ASN1_TIME_set(X509_getm_notBefore(certificate), now - 3600);
  ASN1_TIME_set(X509_getm_notAfter(certificate), now + kDays * 24 * 3600);
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* common = reinterpret_cast<const unsigned char*>("Weir development");
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common, -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_set_pubkey(certificate, made->key_.get());
  std::string names = "DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1";
  if (fit_for_certificate(host) && host != "localhost") names += ",DNS:" + host;
  add_extension(certificate, NID_subject_alt_name, names);
  add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, NID_key_usage, "critical,digitalSignature");
  add_extension(certificate, NID_ext_key_usage, "serverAuth");
  WEIR_CHECK(X509_sign(certificate, made->key_.get(), EVP_sha256()) > 0);
  describe();
}

std::shared_ptr<const Certificate> Certificate::self_signed(std::string_view host, WallTime now) {
  std::vector<Problem> problems;
  CertificateLoader loader{.problems = problems, .now = now.micros / 1'000'000};
  loader.generate(canonical_name(host));
  return loader.made;
}

std::string Certificate::digest() const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  WEIR_CHECK(X509_digest(leaf(), algorithms().sha256, digest.data(), &size) == 1);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// RFC 6125 section 6.4.3: a wildcard stands for one label, the first.
bool Certificate::covers(std::string_view host) const {
  const std::string name = canonical_name(host);
  const std::size_t dot = name.find('.');
  for (const std::string& own : names_) {
    if (own == name) return true;
    if (dot != std::string::npos && dot > 0 && own.starts_with("*.") &&
        std::string_view(own).substr(1) == std::string_view(name).substr(dot)) {
      return true;
    }
  }
  return false;
}

}  // namespace weir::tls
