// SPDX-License-Identifier: Apache-2.0
#include "tls/key_schedule.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/provider.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/assert.h"
#include "tls/secrets.h"

namespace weir::tls {
namespace {

using Octets = std::span<const unsigned char>;

constexpr char kName[] = "weir";
constexpr char kAlgorithm[] = "TLS13-KDF";
constexpr char kProperties[] = "provider=weir";  // of what is offered
constexpr char kQuery[] = "?provider=weir";      // what is preferred

thread_local SecretWatcher* watcher = nullptr;

Octets octets(const OSSL_PARAM& param) {
  return {static_cast<const unsigned char*>(param.data), param.data_size};
}

// What one derivation is told: kdf.h and EVP_KDF-TLS13_KDF(7).
struct Derivation {
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  const EVP_MD* hash = nullptr;
  std::optional<Octets> key;
  std::optional<Octets> salt;
  Octets label;
  Octets data;

  explicit Derivation(const OSSL_PARAM params[]) {
    for (const OSSL_PARAM* param = params; param != nullptr && param->key != nullptr; ++param) {
      take(*param);
    }
  }

  void take(const OSSL_PARAM& param) {
    const std::string_view name = param.key;
    if (name == OSSL_KDF_PARAM_KEY) {
      key = octets(param);
    } else if (name == OSSL_KDF_PARAM_LABEL) {
      label = octets(param);
    } else if (name == OSSL_KDF_PARAM_DATA) {
      data = octets(param);
    } else if (name == OSSL_KDF_PARAM_SALT) {
      salt = octets(param);
    } else if (name == OSSL_KDF_PARAM_MODE) {
      if (OSSL_PARAM_get_int(&param, &mode) != 1) mode = -1;
    } else if (name == OSSL_KDF_PARAM_DIGEST) {
      const std::string_view digest = static_cast<const char*>(param.data);
      if (digest == "SHA256" || digest == "SHA2-256") hash = algorithms().sha256;
      if (digest == "SHA384" || digest == "SHA2-384") hash = algorithms().sha384;
    }
  }

  [[nodiscard]] bool run(std::span<unsigned char> out) const {
    if (hash == nullptr) return false;
    const auto size = static_cast<std::size_t>(EVP_MD_get_size(hash));
    if (mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY) return out.size() == size && extract(out);
    if (mode != EVP_KDF_HKDF_MODE_EXPAND_ONLY || !key || out.size() > size) return false;
    if (label.size() > kLabelSizeMax || data.size() > kLabelContextMax) return false;
    const Bytes text(reinterpret_cast<const char*>(label.data()), label.size());
    expand_label(hash, *key, text, data, out);
    if (watcher != nullptr) watcher->secret_derived(text, out);
    return true;
  }

  // The next secret of the chain: of the one before (the salt) and what has been agreed on (the
  // key). What is missing is zeros.
  [[nodiscard]] bool extract(std::span<unsigned char> out) const {
    const std::array<unsigned char, kSecretSizeMax> zeros{};
    const Octets none(zeros.data(), out.size());
    Secret derived;
    derived.size = static_cast<std::uint8_t>(out.size());
    if (salt) {
      std::array<unsigned char, EVP_MAX_MD_SIZE> empty{};
      if (EVP_Digest("", 0, empty.data(), nullptr, hash, nullptr) != 1) return false;
      const Bytes text(reinterpret_cast<const char*>(label.data()), label.size());
      expand_label(hash, *salt, text, Octets(empty.data(), out.size()),
                   std::span(derived.bytes).first(out.size()));
    }
    hkdf_extract(hash, derived.view(), key ? *key : none, out);
    return true;
  }
};

// Nothing is kept between one call and the next.
void* new_kdf(void* provider) { return provider; }
void free_kdf(void*) {}
void reset_kdf(void*) {}
int derive(void*, unsigned char* key, std::size_t size, const OSSL_PARAM params[]) {
  return Derivation(params).run({key, size}) ? 1 : 0;
}

template <class Function>
constexpr OSSL_DISPATCH entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)()>(function)};
}

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  static const std::array functions = {
      entry(OSSL_FUNC_KDF_NEWCTX, new_kdf), entry(OSSL_FUNC_KDF_FREECTX, free_kdf),
      entry(OSSL_FUNC_KDF_RESET, reset_kdf), entry(OSSL_FUNC_KDF_DERIVE, derive),
      OSSL_DISPATCH{0, nullptr}};
  static const std::array<OSSL_ALGORITHM, 2> kdfs = {
      OSSL_ALGORITHM{kAlgorithm, kProperties, functions.data(), nullptr},
      OSSL_ALGORITHM{nullptr, nullptr, nullptr, nullptr}};
  *no_cache = 0;
  return operation == OSSL_OP_KDF ? kdfs.data() : nullptr;
}

int init(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH*, const OSSL_DISPATCH** out,
         void** context) {
  static const std::array functions = {entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
                                       OSSL_DISPATCH{0, nullptr}};
  *context = const_cast<OSSL_CORE_HANDLE*>(handle);  // not used, and must not be null
  *out = functions.data();
  return 1;
}

// Until the process ends.
struct Providers {
  OSSL_PROVIDER* standard;
  OSSL_PROVIDER* own;
};

// Loading one provider by name ends that the default one is loaded by itself.
Providers load() {
  WEIR_CHECK(OSSL_PROVIDER_add_builtin(nullptr, kName, init) == 1);
  return {OSSL_PROVIDER_load(nullptr, "default"), OSSL_PROVIDER_load(nullptr, kName)};
}

}  // namespace

WatchSecrets::WatchSecrets(SecretWatcher& told) : before_(std::exchange(watcher, &told)) {}

WatchSecrets::~WatchSecrets() { watcher = before_; }

SslContextPtr new_context(const SSL_METHOD* method) {
  static const Providers loaded = load();
  WEIR_CHECK(loaded.standard != nullptr && loaded.own != nullptr);
  SslContextPtr context(SSL_CTX_new_ex(nullptr, kQuery, method));
  WEIR_CHECK(context != nullptr);
  return context;
}

}  // namespace weir::tls
