// SPDX-License-Identifier: Apache-2.0
#include "tls/ocsp.h"

#include <gtest/gtest.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <initializer_list>
#include <utility>

#include "tls/party_for_test.h"
#include "tls/peer_for_test.h"

namespace weir::tls {
namespace {

constexpr std::int64_t kHour = 3600;

class OcspTest : public ::testing::Test {
 protected:
  Party certified(std::initializer_list<std::pair<int, std::string>> extensions) const {
    return make_party("leaf.test", &authority, 42, extensions);
  }
  std::optional<OcspResponder> responder_of(const std::string& urls) const {
    return ocsp_responder(certified({{NID_info_access, urls}}).certificate.get());
  }

  struct Said {
    int status = V_OCSP_CERTSTATUS_GOOD;
    std::int64_t from = 0;            // from now
    std::int64_t until = 48 * kHour;  // likewise; 0: not said
    long serial = 42;
    const Party* signer = nullptr;  // the authority itself
  };
  std::string response(const Said& said) const {
    const Party& signer = said.signer == nullptr ? authority : *said.signer;
    const std::int64_t now = kTestTime.micros / 1'000'000;
    OCSP_BASICRESP* basic = OCSP_BASICRESP_new();
    OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf.certificate.get(), issuer());
    ASN1_INTEGER* serial = nullptr;
    OCSP_id_get0_info(nullptr, nullptr, nullptr, &serial, id);
    ASN1_INTEGER_set(serial, said.serial);
    ASN1_TIME* from = ASN1_TIME_set(nullptr, now + said.from);
    ASN1_TIME* until = said.until == 0 ? nullptr : ASN1_TIME_set(nullptr, now + said.until);
    OCSP_basic_add1_status(basic, id, said.status, 0, from, from, until);
    EXPECT_EQ(OCSP_basic_sign(basic, signer.certificate.get(), signer.key.get(), EVP_sha256(),
                              nullptr, 0),
              1);
    OCSP_RESPONSE* made = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    std::string der = der_of(made);
    OCSP_RESPONSE_free(made);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return der;
  }
  static std::string der_of(OCSP_RESPONSE* made) {
    unsigned char* der = nullptr;
    const int size = i2d_OCSP_RESPONSE(made, &der);
    std::string text(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return text;
  }
  // What is wrong with it; empty: nothing.
  std::string wrong(std::string der, X509* by) const {
    const auto read = read_ocsp_response(std::move(der), leaf.certificate.get(), by, kTestTime);
    return read ? "" : read.error().text;
  }
  std::string wrong(const Said& said) const { return wrong(response(said), issuer()); }
  X509* issuer() const { return authority.certificate.get(); }

  const Party authority = make_authority("authority");
  const Party leaf = certified({});
};

TEST_F(OcspTest, AGoodOneHoldsUntilItsEnd) {
  const auto read = read_ocsp_response(response({}), leaf.certificate.get(), issuer(), kTestTime);
  ASSERT_TRUE(read) << read.error().text;
  const std::int64_t now = kTestTime.micros / 1'000'000;
  EXPECT_EQ(read->from, now);
  EXPECT_EQ(read->until, now + 48 * kHour);
  EXPECT_TRUE(read->valid(kTestTime));
  EXPECT_FALSE(read->valid(WallTime{read->until * 1'000'000}));
  const auto open =
      read_ocsp_response(response({.until = 0}), leaf.certificate.get(), issuer(), kTestTime);
  ASSERT_TRUE(open);
  EXPECT_EQ(open->until, now + 24 * kHour);
}

TEST_F(OcspTest, WhatIsWrongIsSaid) {
  const Party other = make_authority("another");
  EXPECT_EQ(wrong({.status = V_OCSP_CERTSTATUS_REVOKED}), "says that the certificate is revoked");
  EXPECT_EQ(wrong({.status = V_OCSP_CERTSTATUS_REVOKED, .signer = &other}),
            "is not signed by the certificate's authority");
  EXPECT_EQ(wrong(response({}) + "x", issuer()), "is not one in DER format");
  EXPECT_EQ(wrong({.status = V_OCSP_CERTSTATUS_UNKNOWN}), "says that the certificate is unknown");
  EXPECT_EQ(wrong({.from = -2 * kHour, .until = -kHour}), "is out of date");
  EXPECT_EQ(wrong({.from = kHour}), "is of a time that has not come yet: look at the clock");
  EXPECT_EQ(wrong({.from = 200}), "") << "clocks differ a little";
  EXPECT_EQ(wrong({.serial = 43}), "is not of this certificate");
  EXPECT_EQ(wrong({.signer = &other}), "is not signed by the certificate's authority");
  EXPECT_EQ(wrong(response({.signer = &other}), nullptr), "") << "nobody knows by whom";
  EXPECT_EQ(wrong("", issuer()), "is not one in DER format");
  EXPECT_EQ(wrong(response({}).substr(0, 100), issuer()), "is not one in DER format");
  OCSP_RESPONSE* later = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, nullptr);
  EXPECT_EQ(wrong(der_of(later), issuer()), "is an error: trylater");
  OCSP_RESPONSE_free(later);
  std::string damaged = response({});
  char& digit = damaged[damaged.find('Z') - 1];  // of a time
  digit = static_cast<char>(digit ^ 1);
  EXPECT_EQ(wrong(damaged, issuer()), "is not signed by the certificate's authority");
}

TEST_F(OcspTest, TheQuestionNamesTheCertificate) {
  const std::string der = ocsp_request(leaf.certificate.get(), issuer());
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  OCSP_REQUEST* request = d2i_OCSP_REQUEST(nullptr, &at, static_cast<long>(der.size()));
  ASSERT_NE(request, nullptr);
  ASSERT_EQ(OCSP_request_onereq_count(request), 1);
  OCSP_CERTID* own = OCSP_cert_to_id(EVP_sha1(), leaf.certificate.get(), issuer());
  EXPECT_EQ(OCSP_id_cmp(own, OCSP_onereq_get0_id(OCSP_request_onereq_get0(request, 0))), 0);
  OCSP_CERTID_free(own);
  OCSP_REQUEST_free(request);
}

TEST_F(OcspTest, TheFirstResponderThatIsPlainHttp) {
  EXPECT_FALSE(ocsp_responder(leaf.certificate.get()));
  const auto found = responder_of(
      "OCSP;URI:ldap://a.test/,OCSP;URI:https://b.test/,OCSP;URI:http://c.test:8080/x?y=z,"
      "OCSP;URI:http://d.test");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->url, "http://c.test:8080/x?y=z");
  EXPECT_EQ(found->host, "c.test");
  EXPECT_EQ(found->port, 8080);
  EXPECT_EQ(found->target, "/x?y=z");
}

TEST_F(OcspTest, AnAddressIsAHostToo) {
  const auto found = responder_of("OCSP;URI:http://[::1]");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->host, "::1");
  EXPECT_EQ(found->port, 80);
  EXPECT_EQ(found->target, "/");
}

TEST_F(OcspTest, NothingOfAUrlEndsTheRequestLine) {
  EXPECT_FALSE(responder_of("OCSP;URI:http://a b/"));
}

// RFC 6960 section 4.2.2.2.
TEST_F(OcspTest, WhomTheAuthorityHasGivenTheRight) {
  const auto answered_by = [&](const Party& signer) { return wrong({.signer = &signer}); };
  const std::string forged = "is not signed by the certificate's authority";
  EXPECT_EQ(
      answered_by(make_party("delegate", &authority, 43, {{NID_ext_key_usage, "OCSPSigning"}})),
      "");
  EXPECT_EQ(answered_by(make_party("any other", &authority, 44, {})), forged);
  EXPECT_EQ(answered_by(make_party("server", &authority, 45, {{NID_ext_key_usage, "serverAuth"}})),
            forged);
  const Party other = make_authority("authority");  // of the same name
  EXPECT_EQ(answered_by(make_party("delegate", &other, 43, {{NID_ext_key_usage, "OCSPSigning"}})),
            forged);
}

}  // namespace
}  // namespace weir::tls
