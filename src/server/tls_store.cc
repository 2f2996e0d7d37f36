// SPDX-License-Identifier: Apache-2.0
#include "server/tls_store.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "io/system_socket.h"

namespace weir::server {
namespace {

using tls::Problem;

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

tls::ClientAuth auth_of(config::ClientAuth auth) {
  switch (auth) {
    case config::ClientAuth::off: return tls::ClientAuth::off;
    case config::ClientAuth::optional: return tls::ClientAuth::optional;
    case config::ClientAuth::required: return tls::ClientAuth::required;
  }
  WEIR_UNREACHABLE("auth");
}

tls::Protocol protocol_of(config::TlsVersion version) {
  return version == config::TlsVersion::tls13 ? tls::Protocol::tls13 : tls::Protocol::tls12;
}

tls::ServerSettings settings_of(const config::Tls& tls) {
  tls::ServerSettings settings;
  settings.version_min = protocol_of(tls.min_version);
  settings.alpn = tls.alpn;
  settings.client_auth = auth_of(tls.client_auth);
  settings.client_ca = tls.client_ca;
  settings.client_crl = tls.client_crl;
  settings.client_depth = tls.client_depth;
  return settings;
}

// The reader has seen to it that this is base64 of 32 bytes.
tls::Pin pin_of(std::string_view text) {
  text.remove_prefix(std::string_view("sha256//").size());
  std::array<unsigned char, 48> bytes{};
  EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                  static_cast<int>(text.size()));
  tls::Pin pin;
  std::copy_n(bytes.begin(), pin.size(), pin.begin());
  return pin;
}

}  // namespace

TlsStore::TlsStore(WallTime now) : tickets_(std::make_shared<tls::TicketKeys>(now)) {}

// Size, inode and time: a file that is replaced, however quickly, differs in one of them.
std::string TlsStore::look_at(const std::string& file) {
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) return "none";
  return fmt::format("{} {} {} {}.{}", found.st_dev, found.st_ino, found.st_size,
                     found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
}

void TlsStore::watch(const std::string& file) {
  if (!file.empty()) seen_[file] = look_at(file);
}

bool TlsStore::changed() const {
  return std::ranges::any_of(
      seen_, [](const auto& entry) { return look_at(entry.first) != entry.second; });
}

// What is known of the same certificate already.
void TlsStore::keep_response(const Key& files, const tls::Certificate& loaded) const {
  const auto before = certificates_.find(files);
  const bool same = before != certificates_.end() && before->second->digest() == loaded.digest();
  if (same) loaded.set_ocsp(before->second->ocsp());
}

// Looked at before they are read: what changes in between is read once more.
std::shared_ptr<const tls::Certificate> TlsStore::certificate(const config::TlsCertificate& files,
                                                              WallTime now,
                                                              std::vector<Problem>& problems) {
  const Key key{files.cert, files.key};
  if (const auto used = used_.find(key); used != used_.end()) return used->second;
  watch(files.cert);
  watch(files.key);
  watch(files.cert + ".ocsp");
  auto loaded = tls::Certificate::load({files.cert, files.key}, now, problems);
  if (loaded == nullptr) {
    const auto before = certificates_.find(key);
    if (before == certificates_.end()) return nullptr;
    problems.push_back({Problem::Kind::warning,
                        files.cert + ": the certificate that was read before stays in use"});
    loaded = before->second;
  } else if (loaded->ocsp() == nullptr) {
    keep_response(key, *loaded);
  }
  used_[key] = loaded;
  return loaded;
}

std::shared_ptr<const tls::ServerContext> TlsStore::context(const config::Listen& listen,
                                                            WallTime now,
                                                            std::vector<Problem>& problems) {
  const config::Tls& tls = *listen.tls;
  tls::ServerSettings settings = settings_of(tls);
  if (tls.self_signed) {
    if (self_signed_ == nullptr) {
      self_signed_ = tls::Certificate::self_signed(host_name(), now);
    }
    settings.certificates.push_back(self_signed_);
  }
  for (const config::TlsCertificate& files : tls.certificates) {
    if (auto loaded = certificate(files, now, problems)) {
      if (tls.ocsp) to_staple_.push_back(loaded);
      settings.certificates.push_back(std::move(loaded));
    }
  }
  watch(tls.client_ca);
  watch(tls.client_crl);
  const std::string address = listen.address.text();
  auto made = tls::ServerContext::make(std::move(settings), tickets_, problems);
  if (made == nullptr) {
    const auto before = contexts_.find(address);
    const bool have = before != contexts_.end() && before->second != nullptr;
    problems.push_back({have ? Problem::Kind::warning : Problem::Kind::error,
                        have ? fmt::format("the listener {} keeps what it had", address)
                             : fmt::format("the listener {} closes every connection until this is "
                                           "repaired",
                                           address)});
    if (have) made = before->second;
  }
  return made;
}

// Whom to trust and what to show. False: there is no way to do as the settings say.
bool TlsStore::read_trust(const config::UpstreamTls& tls, tls::ClientSettings& settings,
                          std::vector<Problem>& problems) {
  if (!tls.insecure && tls.ca.empty()) {
    if (system_ == nullptr) system_ = tls::Authorities::of_system(problems);
    settings.authorities = system_;
  } else if (!tls.insecure) {
    settings.authorities = tls::Authorities::load(tls.ca, problems);
  }
  if (!tls.insecure && settings.authorities == nullptr) return false;
  if (tls.cert.empty()) return true;
  settings.certificate = certificate({tls.cert, tls.key}, io::wall_now(), problems);
  return settings.certificate != nullptr;
}

std::shared_ptr<const tls::ClientContext> TlsStore::context(const config::Upstream& upstream,
                                                            bool http,
                                                            std::vector<Problem>& problems) {
  const config::UpstreamTls& tls = *upstream.tls;
  std::string files;
  for (const std::string& file : {tls.ca, tls.cert, tls.key}) {
    watch(file);
    files += file.empty() ? "-" : look_at(file);
  }
  tls::ClientSettings settings;
  // What passes through a listener for TCP may be any protocol.
  if (http)
    settings.alpn = upstream.protocol == config::UpstreamProtocol::http2 ? "h2" : "http/1.1";
  settings.version_min = protocol_of(tls.min_version);
  const auto before = clients_.find(upstream.name);
  const bool known = before != clients_.end() && before->second.settings == tls;
  const bool same = known && before->second.files == files &&
                    before->second.alpn == settings.alpn && before->second.context != nullptr;
  if (same) {
    if (!tls.cert.empty()) {
      used_[{tls.cert, tls.key}] = before->second.context->settings().certificate;
    }
    return before->second.context;
  }
  for (const std::string& pin : tls.pins) settings.pins.push_back(pin_of(pin));
  const std::string alpn = settings.alpn;
  std::shared_ptr<const tls::ClientContext> made;
  if (read_trust(tls, settings, problems)) {
    made = tls::ClientContext::make(std::move(settings), problems);
  }
  if (made == nullptr) {
    const bool have = known && before->second.context != nullptr;
    problems.push_back(
        {have ? Problem::Kind::warning : Problem::Kind::error,
         have ? fmt::format("upstream {} keeps the certificates that it had", upstream.name)
              : fmt::format("upstream {} cannot connect to its servers until this is repaired",
                            upstream.name)});
    if (have) made = before->second.context;
  }
  clients_[upstream.name] = {tls, alpn, files, made};
  return made;
}

TlsContexts TlsStore::load(const config::Config& config, WallTime now,
                           std::vector<Problem>& problems) {
  TlsContexts all;
  used_.clear();
  seen_.clear();
  to_staple_.clear();
  std::map<std::string, std::shared_ptr<const tls::ServerContext>> contexts;
  for (const config::Listen& listen : config.listens) {
    auto made = listen.tls ? context(listen, now, problems) : nullptr;
    if (made != nullptr) contexts[listen.address.text()] = made;
    all.listeners.push_back(std::move(made));
  }
  system_.reset();
  for (const config::Upstream& upstream : config.upstreams) {
    const bool http = std::ranges::any_of(
        config.routes, [&](const config::Route& route) { return route.upstream == upstream.name; });
    all.upstreams.push_back(upstream.tls ? context(upstream, http, problems) : nullptr);
  }
  std::erase_if(clients_, [&](const auto& client) {
    return std::ranges::find(config.upstreams, client.first, &config::Upstream::name) ==
           config.upstreams.end();
  });
  certificates_ = used_;
  contexts_ = std::move(contexts);
  return all;
}

std::vector<CertificateStatus> TlsStore::certificates() const {
  std::vector<CertificateStatus> all;
  for (const auto& [key, each] : certificates_) {
    all.push_back({each->file(), each->names(), each->expires(), {}});
    if (const auto response = each->ocsp()) all.back().stapled_until = response->until;
  }
  if (self_signed_ != nullptr) {
    all.push_back({self_signed_->file(), self_signed_->names(), self_signed_->expires(), {}});
  }
  return all;
}

std::vector<Problem> check_certificates(const config::Config& config) {
  std::vector<Problem> problems;
  const WallTime now = io::wall_now();
  TlsStore(now).load(config, now, problems);
  return problems;
}

}  // namespace weir::server
