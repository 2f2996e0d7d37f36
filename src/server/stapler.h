// SPDX-License-Identifier: Apache-2.0
//
// Asks the authorities of certificates what they say of them (OCSP), at the responders that the
// certificates name, and again when half of the time has passed for which an answer holds. An
// authority that does not answer costs nothing but the stapling. Lives on the control loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "async/scope.h"
#include "config/config.h"
#include "io/loop.h"
#include "tls/certificate.h"

namespace weir::server {

class Fetch;

/// How long after `now` an authority is asked again.
Millis renew_after(const tls::OcspResponse& response, WallTime now);

class Stapler : private io::Timer {
 public:
  using Certificates = std::vector<std::shared_ptr<const tls::Certificate>>;
  /// What an address is known to be; empty while its name has not been resolved.
  using Lookup = std::function<std::vector<io::SocketAddress>(const config::Address&)>;
  /// `scope`: in which it asks; joined after stop().
  Stapler(io::Loop& loop, Scope& scope, Lookup lookup);
  ~Stapler();

  /// Asks about these from now on, and about no others. Those without a responder are left out.
  void watch(const Certificates& certificates);
  /// The responders' names.
  [[nodiscard]] std::set<std::string> hosts() const;
  /// A name has been resolved: who waited for it asks at once.
  void name_known(const std::string& host);
  /// Asks nothing any more, and soon nothing is under way.
  void stop();

 private:
  /// About one certificate, whatever files it stands in.
  struct Question {
    Certificates certificates;                      // not empty
    std::shared_ptr<const tls::Certificate> asked;  // of these, one whose issuer is known
    tls::OcspResponder responder;
    Instant due{};
    int failures = 0;         // in a row
    bool unresolved = false;  // waits for its name
    Fetch* under_way = nullptr;
  };
  using Questions = std::map<std::string, Question>;  // by digest

  static Task<> ask(Stapler* self, std::string digest, io::SocketAddress address);
  static Questions questions_of(const Certificates& certificates);
  void schedule(Question& question);
  void look();
  void start(const std::string& digest, Question& question);
  void answered(Question& question, const std::expected<std::string, std::string>& body);
  void failed(Question& question, const std::string& why);

  io::Loop& loop_;
  Scope& scope_;
  Lookup lookup_;
  Questions questions_;
  std::size_t under_way_ = 0;
  bool stopped_ = false;
};

}  // namespace weir::server
