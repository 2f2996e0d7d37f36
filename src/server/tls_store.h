// SPDX-License-Identifier: Apache-2.0
//
// The certificates of the listeners, and what upstreams need to speak TLS: read from their files at
// start (with the rights that Weir has then) and again when a file has changed or Weir reloads.
// What cannot be read any more stays as it was, so that a mistake made in a file takes nothing
// down; what could never be read breaks only its own names. Used by the control thread only; what
// it gives is shared by the workers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "server/process_status.h"
#include "tls/client_context.h"
#include "tls/server_context.h"

namespace weir::server {

/// For each listener and each upstream of a configuration; nullptr: plain, or unusable.
struct TlsContexts {
  std::vector<std::shared_ptr<const tls::ServerContext>> listeners;
  std::vector<std::shared_ptr<const tls::ClientContext>> upstreams;
};

class TlsStore {
 public:
  explicit TlsStore(WallTime now);

  /// Reads all that the configuration names. `problems` says what is wrong, and what of before is
  /// used instead.
  TlsContexts load(const config::Config& config, WallTime now, std::vector<tls::Problem>& problems);
  /// Whether a file has changed since load(). Costs a system call for each.
  [[nodiscard]] bool changed() const;
  /// Those of which the authorities are to be asked what to staple.
  [[nodiscard]] const std::vector<std::shared_ptr<const tls::Certificate>>& to_staple() const {
    return to_staple_;
  }
  /// Those in use.
  [[nodiscard]] std::vector<CertificateStatus> certificates() const;

 private:
  using Key = std::pair<std::string, std::string>;  // of files: certificate, key
  std::shared_ptr<const tls::Certificate> certificate(const config::TlsCertificate& files,
                                                      WallTime now,
                                                      std::vector<tls::Problem>& problems);
  void keep_response(const Key& files, const tls::Certificate& loaded) const;
  std::shared_ptr<const tls::ServerContext> context(const config::Listen& listen, WallTime now,
                                                    std::vector<tls::Problem>& problems);
  std::shared_ptr<const tls::ClientContext> context(const config::Upstream& upstream, bool http,
                                                    std::vector<tls::Problem>& problems);
  bool read_trust(const config::UpstreamTls& tls, tls::ClientSettings& settings,
                  std::vector<tls::Problem>& problems);
  void watch(const std::string& file);
  [[nodiscard]] static std::string look_at(const std::string& file);

  std::shared_ptr<tls::TicketKeys> tickets_;
  std::shared_ptr<const tls::Certificate> self_signed_;
  std::map<Key, std::shared_ptr<const tls::Certificate>> certificates_;  // as they were good last
  std::map<Key, std::shared_ptr<const tls::Certificate>> used_;          // by load()
  std::vector<std::shared_ptr<const tls::Certificate>> to_staple_;       // likewise
  std::map<std::string, std::shared_ptr<const tls::ServerContext>> contexts_;  // by address
  /// Of an upstream, and what it was made of: connections are kept while that is the same.
  struct Client {
    config::UpstreamTls settings;
    std::string alpn;
    std::string files;  // what they looked like
    std::shared_ptr<const tls::ClientContext> context;
  };
  std::map<std::string, Client> clients_;           // by the upstream's name
  std::shared_ptr<const tls::Authorities> system_;  // of this load()
  std::map<std::string, std::string> seen_;         // file: what it looked like
};

/// What is wrong with the certificates of a configuration, for `weir check`.
std::vector<tls::Problem> check_certificates(const config::Config& config);

}  // namespace weir::server
