// SPDX-License-Identifier: Apache-2.0
#include "tls/ocsp.h"

#include <openssl/err.h>
#include <openssl/http.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

#include "base/assert.h"

namespace weir::tls {
namespace {

using ResponsePtr = std::unique_ptr<OCSP_RESPONSE, Freeing<OCSP_RESPONSE_free>>;
using BasicPtr = std::unique_ptr<OCSP_BASICRESP, Freeing<OCSP_BASICRESP_free>>;
using RequestPtr = std::unique_ptr<OCSP_REQUEST, Freeing<OCSP_REQUEST_free>>;
using CertIdPtr = std::unique_ptr<OCSP_CERTID, Freeing<OCSP_CERTID_free>>;
using StorePtr = std::unique_ptr<X509_STORE, Freeing<X509_STORE_free>>;

constexpr std::int64_t kClockSkew = 300;       // seconds
constexpr std::int64_t kOpenEnd = 24L * 3600;  // likewise

struct FreeStrings {
  void operator()(STACK_OF(OPENSSL_STRING) * strings) const { X509_email_free(strings); }
};
struct FreeText {
  void operator()(char* text) const { OPENSSL_free(text); }
};
struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};

// It goes into a request line and a Host field.
bool is_visible(std::string_view url) {
  return std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_of(OCSP_SINGLERESP* single, const X509* leaf, const X509* issuer) {
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_INTEGER* serial = nullptr;
  auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single));
  OCSP_id_get0_info(nullptr, &algorithm, nullptr, &serial, id);
  if (issuer == nullptr) return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
  const EVP_MD* hash = EVP_get_digestbyobj(algorithm);
  if (hash == nullptr) return false;
  const CertIdPtr own(OCSP_cert_to_id(hash, leaf, issuer));
  return own != nullptr && OCSP_id_cmp(own.get(), id) == 0;
}

// By the authority itself, or by whom it has given the right to. RFC 6960 section 4.2.2.2.
bool signed_by(OCSP_BASICRESP* basic, X509* issuer) {
  const std::unique_ptr<STACK_OF(X509), FreeStack> known(sk_X509_new_null());
  const StorePtr store(X509_STORE_new());
  WEIR_CHECK(known != nullptr && store != nullptr);
  WEIR_CHECK(sk_X509_push(known.get(), issuer) > 0);
  WEIR_CHECK(X509_STORE_add_cert(store.get(), issuer) == 1);
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);  // it need not be a root
  const bool good = OCSP_basic_verify(basic, known.get(), store.get(), OCSP_TRUSTOTHER) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

std::optional<OcspResponder> ocsp_responder(const X509* leaf) {
  const std::unique_ptr<STACK_OF(OPENSSL_STRING), FreeStrings> urls(
      X509_get1_ocsp(const_cast<X509*>(leaf)));
  for (int i = 0; urls != nullptr && i < sk_OPENSSL_STRING_num(urls.get()); ++i) {
    const char* const url = sk_OPENSSL_STRING_value(urls.get(), i);
    if (!is_visible(url)) continue;
    int tls = 0;
    int port = 0;
    char* host = nullptr;
    char* path = nullptr;
    const int parsed =
        OSSL_HTTP_parse_url(url, &tls, nullptr, &host, nullptr, &port, &path, nullptr, nullptr);
    const std::unique_ptr<char, FreeText> own_host(host);
    const std::unique_ptr<char, FreeText> own_path(path);
    ERR_clear_error();
    if (parsed != 1 || tls != 0 || port <= 0 || port > 65535) continue;
    std::string name(host);
    if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
    if (name.empty()) continue;
    return OcspResponder{url, std::move(name), static_cast<std::uint16_t>(port), path};
  }
  return std::nullopt;
}

std::string ocsp_request(const X509* leaf, const X509* issuer) {
  const RequestPtr request(OCSP_REQUEST_new());
  // SHA-1 as RFC 5019 section 2.1.1 has it: here it only names, and other names are often unknown.
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf, issuer);
  WEIR_CHECK(request != nullptr && id != nullptr);
  WEIR_CHECK(OCSP_request_add0_id(request.get(), id) != nullptr);
  unsigned char* der = nullptr;
  const int size = i2d_OCSP_REQUEST(request.get(), &der);
  WEIR_CHECK(size > 0);
  std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return text;
}

std::expected<OcspResponse, OcspFault> read_ocsp_response(std::string der, const X509* leaf,
                                                          X509* issuer, WallTime now) {
  const auto wrong = [](std::string text) { return std::unexpected(OcspFault{std::move(text)}); };
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* const end = at + der.size();
  const ResponsePtr response(d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (response == nullptr || at != end) return wrong("is not one in DER format");
  if (const int status = OCSP_response_status(response.get()); status != 0) {
    return wrong(std::string("is an error: ") + OCSP_response_status_str(status));
  }
  const BasicPtr basic(OCSP_response_get1_basic(response.get()));
  ERR_clear_error();
  if (basic == nullptr) return wrong("is of an unknown kind");
  OCSP_SINGLERESP* single = nullptr;
  for (int i = 0; i < OCSP_resp_count(basic.get()) && single == nullptr; ++i) {
    OCSP_SINGLERESP* const each = OCSP_resp_get0(basic.get(), i);
    if (is_of(each, leaf, issuer)) single = each;
  }
  if (single == nullptr) return wrong("is not of this certificate");
  if (issuer != nullptr && !signed_by(basic.get(), issuer)) {
    return wrong("is not signed by the certificate's authority");
  }
  ASN1_GENERALIZEDTIME* from = nullptr;
  ASN1_GENERALIZEDTIME* until = nullptr;
  int reason = 0;
  const int status = OCSP_single_get0_status(single, &reason, nullptr, &from, &until);
  OcspResponse read{std::move(der), seconds(from), 0};
  read.until = until == nullptr ? read.from + kOpenEnd : seconds(until);
  if (read.from > now.micros / 1'000'000 + kClockSkew) {
    return wrong("is of a time that has not come yet: look at the clock");
  }
  if (!read.valid(now)) return wrong("is out of date");
  if (status == V_OCSP_CERTSTATUS_REVOKED) {
    return std::unexpected(OcspFault{"says that the certificate is revoked", true});
  }
  if (status != V_OCSP_CERTSTATUS_GOOD) return wrong("says that the certificate is unknown");
  return read;
}

}  // namespace weir::tls
