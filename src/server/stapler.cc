// SPDX-License-Identifier: Apache-2.0
#include "server/stapler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/system_socket.h"
#include "server/diagnostics.h"
#include "server/fetch.h"

namespace weir::server {
namespace {

constexpr std::size_t kAtOnce = 8;
constexpr Millis kResolve{10'000};
constexpr Millis kRetryMin{30'000};
constexpr Millis kRetryMax{3'600'000};
constexpr Millis kRenewMin{300'000};
constexpr Millis kRenewMax{12 * 3'600'000};
constexpr Error kStopped{Code::cancelled, Cause::cancelled, 0, "stop"};

}  // namespace

// Half of the time for which a response holds leaves the other half to an authority that does not
// answer.
Millis renew_after(const tls::OcspResponse& response, WallTime now) {
  if (response.until == INT64_MAX) return kRenewMax;
  const std::int64_t half = response.from + (response.until - response.from) / 2;
  const Millis left{(half - now.micros / 1'000'000) * 1000};
  return std::clamp(left, kRenewMin, kRenewMax);
}

Stapler::Stapler(io::Loop& loop, Scope& scope, Lookup lookup, Learned learned)
    : Timer([](Timer& timer) { static_cast<Stapler&>(timer).look(); }),
      loop_(loop),
      scope_(scope),
      lookup_(std::move(lookup)),
      learned_(std::move(learned)) {}

Stapler::~Stapler() { WEIR_ASSERT(under_way_ == 0); }

void Stapler::watch(const std::vector<std::shared_ptr<const tls::Certificate>>& certificates) {
  std::map<std::string, Question> next;
  for (const auto& certificate : certificates) {
    const std::string digest = certificate->digest();
    if (auto old = questions_.extract(digest)) {
      old.mapped().certificate = certificate;
      next.insert(std::move(old));
      continue;
    }
    auto responder = tls::ocsp_responder(certificate->leaf());
    if (!responder || next.contains(digest)) continue;
    if (certificate->issuer() == nullptr) {
      log_info(
          "{}: no OCSP response is stapled: the certificate of its authority, by which one is "
          "verified, is not in the file",
          certificate->file());
      continue;
    }
    next[digest] = {certificate, std::move(*responder), loop_.now(), 0, false, nullptr};
  }
  for (const auto& [digest, gone] : questions_) {
    if (gone.under_way != nullptr) gone.under_way->cancel(kStopped);
  }
  questions_ = std::move(next);
  look();
}

std::set<std::string> Stapler::hosts() const {
  std::set<std::string> hosts;
  for (const auto& [digest, question] : questions_) {
    if (!io::SocketAddress::from_ip(question.responder.host, 0)) {
      hosts.insert(question.responder.host);
    }
  }
  return hosts;
}

void Stapler::name_known(const std::string& host) {
  for (auto& [digest, question] : questions_) {
    if (!question.unresolved || question.responder.host != host) continue;
    question.unresolved = false;
    question.due = loop_.now();
  }
  look();
}

void Stapler::stop() {
  stopped_ = true;
  disarm();
  for (const auto& [digest, question] : questions_) {
    if (question.under_way != nullptr) question.under_way->cancel(kStopped);
  }
}

// Starts what is due, as far as there is room for it, and sets the timer for the rest.
void Stapler::look() {
  if (stopped_) return;
  Instant next = kNever;
  for (auto& [digest, question] : questions_) {
    if (question.under_way != nullptr) continue;
    if (question.due <= loop_.now() && under_way_ < kAtOnce) start(digest, question);
    if (question.under_way == nullptr) next = std::min(next, question.due);
  }
  if (under_way_ < kAtOnce) {
    loop_.timers().arm(*this, next);
  } else {
    disarm();  // the next end looks again
  }
}

void Stapler::start(const std::string& digest, Question& question) {
  config::Address address;
  address.host = question.responder.host;
  address.port = question.responder.port;
  if (!io::SocketAddress::from_ip(address.host, 0)) address.kind = config::Address::Kind::name;
  const std::vector<io::SocketAddress> known = lookup_(address);
  if (known.empty() && !std::exchange(question.unresolved, true)) {
    question.due = loop_.now() + kResolve;
    return;
  }
  if (known.empty()) return failed(question, "its name does not resolve");
  question.unresolved = false;
  // Another one after each failure.
  const auto turn = static_cast<std::size_t>(question.failures) % known.size();
  scope_.spawn(&Stapler::ask, this, digest, known[turn]);
}

Task<> Stapler::ask(Stapler* self, std::string digest, io::SocketAddress address) {
  Question& question = self->questions_.at(digest);
  const std::shared_ptr<const tls::Certificate> certificate = question.certificate;
  const tls::OcspResponder& responder = question.responder;
  const bool usual = responder.port == 80;
  Fetch fetch(
      self->loop_,
      {address, usual ? responder.host : fmt::format("{}:{}", responder.host, responder.port),
       responder.target, "application/ocsp-request",
       tls::ocsp_request(certificate->leaf(), certificate->issuer())});
  question.under_way = &fetch;
  ++self->under_way_;
  std::expected<std::string, std::string> body = co_await fetch.run();
  --self->under_way_;
  const auto found = self->questions_.find(digest);  // a reload may have dropped it
  if (found == self->questions_.end() || found->second.under_way != &fetch) co_return;
  found->second.under_way = nullptr;
  if (self->stopped_) co_return;
  if (!body) {
    self->failed(found->second, body.error());
  } else {
    auto read = tls::read_ocsp_response(std::move(*body), certificate->leaf(),
                                        certificate->issuer(), io::wall_now());
    if (!read) {
      self->failed(found->second, "its response " + read.error());
    } else {
      found->second.failures = 0;
      found->second.due = self->loop_.now() + renew_after(*read, io::wall_now());
      log_info("{}: {} says that the certificate is good; its response is stapled",
               certificate->file(), found->second.responder.url);
      self->learned_(digest, std::move(*read));
    }
  }
  self->look();
}

void Stapler::failed(Question& question, const std::string& why) {
  const Millis wait = std::min(kRetryMin * (1 << std::min(question.failures, 8)), kRetryMax);
  ++question.failures;
  question.due = loop_.now() + wait;
  const bool have =
      question.certificate->ocsp() && question.certificate->ocsp()->valid(io::wall_now());
  log_warn("{}: no new OCSP response from {}: {}; {}; trying again in {} s",
           question.certificate->file(), question.responder.url, why,
           have ? "the response of before is stapled" : "none is stapled", wait.count() / 1000);
}

}  // namespace weir::server
