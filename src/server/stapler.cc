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

// RFC 9110 section 7.2.
std::string host_field(const tls::OcspResponder& responder) {
  const bool ipv6 = responder.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? fmt::format("[{}]", responder.host) : responder.host;
  return responder.port == 80 ? host : fmt::format("{}:{}", host, responder.port);
}

}  // namespace

// Half of the time for which a response holds leaves the other half to an authority that does not
// answer.
Millis renew_after(const tls::OcspResponse& response, WallTime now) {
  const std::int64_t half = response.from + (response.until - response.from) / 2;
  const Millis left{(half - now.micros / 1'000'000) * 1000};
  return std::clamp(left, kRenewMin, kRenewMax);
}

Stapler::Stapler(io::Loop& loop, Scope& scope, Lookup lookup)
    : Timer([](Timer& timer) { static_cast<Stapler&>(timer).look(); }),
      loop_(loop),
      scope_(scope),
      lookup_(std::move(lookup)) {}

Stapler::~Stapler() { WEIR_ASSERT(under_way_ == 0); }

Stapler::Questions Stapler::questions_of(const Certificates& certificates) {
  Questions questions;
  for (const auto& certificate : certificates) {
    auto responder = tls::ocsp_responder(certificate->leaf());
    if (!responder) continue;
    Question& question = questions[certificate->digest()];
    question.certificates.push_back(certificate);
    question.responder = std::move(*responder);
    if (certificate->issuer() != nullptr) question.asked = certificate;
  }
  std::erase_if(questions, [](const auto& entry) {
    const Question& question = entry.second;
    if (question.asked != nullptr) return false;
    log_info(
        "{}: no OCSP response is stapled: the certificate of its authority, by which one is "
        "verified, is not in the file",
        question.certificates.front()->file());
    return true;
  });
  return questions;
}

void Stapler::watch(const Certificates& certificates) {
  Questions next = questions_of(certificates);
  for (auto& [digest, question] : next) {
    const auto old = questions_.find(digest);
    if (old == questions_.end()) {
      schedule(question);
      continue;
    }
    question.due = old->second.due;
    question.failures = old->second.failures;
    question.unresolved = old->second.unresolved;
    question.under_way = std::exchange(old->second.under_way, nullptr);
  }
  for (const auto& [digest, gone] : questions_) {
    if (gone.under_way != nullptr) gone.under_way->cancel(kStopped);
  }
  questions_ = std::move(next);
  look();
}

// What a file says holds until its end.
void Stapler::schedule(Question& question) {
  question.due = loop_.now();
  const WallTime now = io::wall_now();
  for (const auto& certificate : question.certificates) {
    const auto response = certificate->ocsp();
    if (response == nullptr || !response->valid(now)) continue;
    question.due = loop_.now() + Micros(response->until * 1'000'000 - now.micros);
  }
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
  // Each end looks again.
  if (under_way_ < kAtOnce) loop_.timers().arm(*this, next);
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
  Question& asking = self->questions_.at(digest);  // may be gone at the end
  const tls::Certificate& certificate = *asking.asked;
  Fetch fetch(self->loop_, {address, host_field(asking.responder), asking.responder.target,
                            "application/ocsp-request",
                            tls::ocsp_request(certificate.leaf(), certificate.issuer())});
  asking.under_way = &fetch;
  ++self->under_way_;
  const std::expected<std::string, std::string> body = co_await fetch.run();
  --self->under_way_;
  const auto found = self->questions_.find(digest);
  const bool wanted = found != self->questions_.end() && found->second.under_way == &fetch;
  if (wanted) found->second.under_way = nullptr;
  if (self->stopped_) co_return;
  if (wanted) self->answered(found->second, body);
  self->loop_.timers().arm(*self, self->loop_.now());
}

void Stapler::answered(Question& question, const std::expected<std::string, std::string>& body) {
  if (!body) return failed(question, body.error());
  const tls::Certificate& asked = *question.asked;
  const WallTime now = io::wall_now();
  auto read = tls::read_ocsp_response(*body, asked.leaf(), asked.issuer(), now);
  if (!read && !read.error().revoked) {
    return failed(question, "its response " + read.error().text);
  }
  question.failures = 0;
  std::shared_ptr<const tls::OcspResponse> response;
  if (read) {
    response = std::make_shared<const tls::OcspResponse>(std::move(*read));
    question.due = loop_.now() + renew_after(*response, now);
    log_info("{}: {} says that the certificate is good; its response is stapled", asked.file(),
             question.responder.url);
  } else {
    question.due = loop_.now() + kRetryMax;
    log_error("{}: {} says that the certificate is REVOKED: replace it. Nothing is stapled",
              asked.file(), question.responder.url);
  }
  for (const auto& certificate : question.certificates) certificate->set_ocsp(response);
}

void Stapler::failed(Question& question, const std::string& why) {
  const Millis wait = std::min(kRetryMin * (1 << std::min(question.failures, 8)), kRetryMax);
  ++question.failures;
  question.due = loop_.now() + wait;
  const auto before = question.asked->ocsp();
  const bool have = before != nullptr && before->valid(io::wall_now());
  log_warn("{}: no new OCSP response from {}: {}; {}; trying again in {} s", question.asked->file(),
           question.responder.url, why,
           have ? "the response of before is stapled" : "none is stapled", wait.count() / 1000);
}

}  // namespace weir::server
