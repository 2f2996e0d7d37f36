// SPDX-License-Identifier: Apache-2.0
#include "tls/handshake.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "tls/certificate.h"
#include "tls/client_context.h"

namespace weir::tls {

// The BIO between OpenSSL and the strings of a step.
struct Buffers {
  static Handshake& of(BIO* bio) { return *static_cast<Handshake*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    Bytes* input = of(bio).input_;
    if (size <= 0 || input == nullptr || input->empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t count = std::min(input->size(), static_cast<std::size_t>(size));
    std::memcpy(out, input->data(), count);
    input->remove_prefix(count);
    return static_cast<int>(count);
  }

  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    if (size > 0 && of(bio).output_ != nullptr) {
      of(bio).output_->append(data, static_cast<std::size_t>(size));
    }
    return size;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static BIO_METHOD* make_method() {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    WEIR_CHECK(made != nullptr);
    BIO_meth_set_read(made, read);
    BIO_meth_set_write(made, write);
    BIO_meth_set_ctrl(made, control);
    BIO_meth_set_create(made, create);
    return made;
  }

  static const BIO_METHOD* method() {
    static const BIO_METHOD* const made = make_method();
    return made;
  }
};

namespace {

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 0xf]);
  }
  return text;
}

std::string name_text(const X509_NAME* name) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);  // all that is not ASCII is escaped
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

Suite suite_of(const SSL_CIPHER* cipher) {
  switch (SSL_CIPHER_get_cipher_nid(cipher)) {
    case NID_aes_128_gcm: return Suite::aes128_gcm;
    case NID_aes_256_gcm: return Suite::aes256_gcm;
    case NID_chacha20_poly1305: return Suite::chacha20_poly1305;
    default: WEIR_UNREACHABLE("a cipher that was not offered");
  }
}

// How many records stand in this output.
std::uint64_t count_records(Bytes output) {
  std::uint64_t count = 0;
  while (!output.empty()) {
    const auto size = record_size(output);
    WEIR_ASSERT(size.has_value() && *size > 0 && *size <= output.size());
    output.remove_prefix(*size);
    ++count;
  }
  return count;
}

Cause cause_of(int reason, Side side) {
  if (side == Side::client) {
    return reason == SSL_R_CERTIFICATE_VERIFY_FAILED ? Cause::upstream_tls_certificate
                                                     : Cause::upstream_tls_failed;
  }
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return Cause::tls_plain_http;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return Cause::tls_client_certificate;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE: return Cause::tls_certificate_rejected;
    default: return Cause::tls_handshake_failed;
  }
}

}  // namespace

Handshake::Handshake(std::shared_ptr<const Context> context)
    : context_(std::move(context)), ssl_(SSL_new(context_->first())) {
  begin();
  SSL_set_accept_state(ssl_.get());
}

Handshake::Handshake(std::shared_ptr<KnownServer> server)
    : context_(server->context), server_(std::move(server)), ssl_(SSL_new(context_->first())) {
  begin();
  SSL_set_connect_state(ssl_.get());
  ClientContext::prepare(ssl_.get(), *server_);
}

void Handshake::begin() {
  WEIR_CHECK(ssl_ != nullptr);
  BIO* bio = BIO_new(Buffers::method());
  WEIR_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
}

Handshake::~Handshake() {
  // The session outlives it: OpenSSL would take a connection without a proper end for a broken one.
  if (ssl_ != nullptr) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

Result<Handshake::Step> Handshake::step(Bytes& input, std::string& output, WallTime now) {
  input_ = &input;
  output_ = &output;
  now_ = now;
  const std::size_t before = output.size();
  const WatchSecrets watch(*this);
  const int result = SSL_do_handshake(ssl_.get());
  input_ = nullptr;
  output_ = nullptr;
  if (result == 1 && context_->side() == Side::client) {
    const Result<void> accepted = static_cast<const ClientContext&>(*context_).accept(ssl_.get());
    if (!accepted) return std::unexpected(accepted.error());
    return Step::done;
  }
  if (result == 1) {
    // The server's own records with the new key are session tickets, which are all of this step.
    records_sent_ = count_records(Bytes(output).substr(before));
    return Step::done;
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ) return Step::more;
  return std::unexpected(failure());
}

Error Handshake::failure() const {
  const unsigned long code = ERR_peek_error();
  const Side side = context_->side();
  Error error{Code::malformed, cause_of(ERR_GET_REASON(code), side), 0, "handshake"};
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);  // static text
  if (error.cause == Cause::upstream_tls_certificate) {
    reason = X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()));  // likewise
  }
  if (reason != nullptr) error.where = reason;
  ERR_clear_error();
  return error;
}

// RFC 8446 section 7.1.
void Handshake::secret_derived(Bytes label, std::span<const unsigned char> secret) {
  const bool of_client = label == "c ap traffic";
  if (!of_client && label != "s ap traffic") return;
  const bool ours = of_client == (context_->side() == Side::client);
  Secret& learnt = ours ? sending_ : receiving_;
  WEIR_ASSERT(secret.size() <= learnt.bytes.size());
  std::ranges::copy(secret, learnt.bytes.begin());
  learnt.size = static_cast<std::uint8_t>(secret.size());
}

bool Handshake::learn_session(SSL_SESSION* session) {
  if (server_ == nullptr) return false;
  server_->session.reset(session);
  return true;
}

void Handshake::take_ticket(Bytes record) {
  input_ = &record;
  char content = 0;
  ignore(SSL_read(ssl_.get(), &content, 1), "it calls learn_session");
  input_ = nullptr;
  ERR_clear_error();
}

void Handshake::begin_records(Records& receiving, Records& sending) const {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_.get());
  const Suite suite = suite_of(cipher);
  const EVP_MD* hash = suite == Suite::aes256_gcm ? algorithms().sha384 : algorithms().sha256;
  if (SSL_version(ssl_.get()) == TLS1_3_VERSION) {
    WEIR_CHECK(receiving_.size > 0 && sending_.size > 0);
    receiving.begin(Protocol::tls13, suite, record_key(hash, receiving_, suite), receiving_, 0);
    sending.begin(Protocol::tls13, suite, record_key(hash, sending_, suite), sending_,
                  records_sent_);
    return;
  }
  Secret master;
  master.size = static_cast<std::uint8_t>(SSL_SESSION_get_master_key(
      SSL_get_session(ssl_.get()), master.bytes.data(), master.bytes.size()));
  std::array<unsigned char, 2 * SSL3_RANDOM_SIZE> randoms;
  SSL_get_server_random(ssl_.get(), randoms.data(), SSL3_RANDOM_SIZE);
  SSL_get_client_random(ssl_.get(), randoms.data() + SSL3_RANDOM_SIZE, SSL3_RANDOM_SIZE);
  const KeyBlock keys = key_block(
      hash, master, {reinterpret_cast<const char*>(randoms.data()), randoms.size()}, suite);
  // Each side's Finished was the first record of its key.
  const bool server = context_->side() == Side::server;
  receiving.begin(Protocol::tls12, suite, server ? keys.client : keys.server, Secret{}, 1);
  sending.begin(Protocol::tls12, suite, server ? keys.server : keys.client, Secret{}, 1);
  OPENSSL_cleanse(&master, sizeof master);
}

std::size_t Handshake::content_max() const {
  const auto mode = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl_.get()));
  const bool agreed = mode >= 1 && mode <= 4;
  return agreed ? std::size_t{512} << (mode - 1) : kRecordPlainMax;
}

std::unique_ptr<Facts> Handshake::take_facts() {
  const SSL* ssl = ssl_.get();
  std::unique_ptr<Facts> facts(new Facts);
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  if (alpn_size > 0) facts->alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    facts->server_name = name;
  }
  facts->version = SSL_version(ssl) == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2";
  facts->cipher = SSL_get_cipher_name(ssl);
  facts->resumed = SSL_session_reused(ssl) == 1;
  facts->shown = context_->certificate_of(SSL_get_certificate(ssl));
  if (context_->side() == Side::server) facts->peer = peer_certificate();
  return facts;
}

std::unique_ptr<const PeerCertificate> Handshake::peer_certificate() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr) return nullptr;
  auto peer = std::make_unique<PeerCertificate>();
  peer->subject = name_text(X509_get_subject_name(certificate));
  peer->issuer = name_text(X509_get_issuer_name(certificate));
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  peer->serial =
      hex({ASN1_STRING_get0_data(serial), static_cast<std::size_t>(ASN1_STRING_length(serial))});
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  WEIR_CHECK(X509_digest(certificate, algorithms().sha256, digest.data(), &size) == 1);
  peer->fingerprint = hex(std::span(digest).first(size));
  return peer;
}

}  // namespace weir::tls
