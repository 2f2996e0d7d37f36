// SPDX-License-Identifier: Apache-2.0
//
// Certificates with an issuer and any extensions, made in memory. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "tls/openssl.h"

namespace weir::tls {

struct Party {
  KeyPtr key;
  X509Ptr certificate;
};

// Valid whenever the test runs. `issuer`: nullptr for one that signs itself.
inline Party make_party(const char* name, const Party* issuer, std::int64_t serial,
                        std::initializer_list<std::pair<int, std::string>> extensions) {
  Party made{KeyPtr(EVP_EC_gen("P-256")), X509Ptr(X509_new())};
  X509* certificate = made.certificate.get();
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial);
  ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20000101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(certificate), "20990101000000Z");
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  const Party& signer = issuer == nullptr ? made : *issuer;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer.certificate.get()));
  X509_set_pubkey(certificate, made.key.get());
  for (const auto& [id, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
    EXPECT_NE(extension, nullptr) << value;
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  EXPECT_GT(X509_sign(certificate, signer.key.get(), EVP_sha256()), 0);
  return made;
}

inline Party make_authority(const char* name) {
  return make_party(name, nullptr, 1, {{NID_basic_constraints, "critical,CA:TRUE"}});
}

inline std::string text_of(BIO* bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  return {text, static_cast<std::size_t>(size)};
}

inline std::string pem_of(const Party& party) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), party.certificate.get());
  return text_of(bio.get());
}

inline std::string key_pem_of(const Party& party) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(bio.get(), party.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(bio.get());
}

}  // namespace weir::tls
