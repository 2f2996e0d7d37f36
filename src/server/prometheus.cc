// SPDX-License-Identifier: Apache-2.0
#include "server/prometheus.h"

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "base/assert.h"

namespace weir::server {
namespace {

constexpr auto kFamilies = std::to_array<FamilyText>({
#define WEIR_METRIC(id, name, type, labels, help) {name, type, labels, help},
#include "server/metrics.def"
#undef WEIR_METRIC
});

constexpr std::array<std::string_view, 6> kClasses = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

using Label = std::pair<std::string_view, std::string_view>;
using Labels = std::initializer_list<Label>;

/// Writes samples family by family, in the order of the table and each family once.
class Page {
 public:
  void begin(Family family) {
    const auto index = static_cast<std::size_t>(family);
    WEIR_ASSERT(index == next_);
    ++next_;
    text_ = &kFamilies[index];
    fmt::format_to(out(), "# HELP {} ", text_->name);
    append_help(text_->help);
    fmt::format_to(out(), "\n# TYPE {} {}\n", text_->name, text_->type);
  }
  void sample(Labels labels, std::uint64_t value) {
    name_and_labels("", labels);
    fmt::format_to(out(), " {}\n", value);
  }
  void sample(Labels labels, double value) {
    name_and_labels("", labels);
    fmt::format_to(out(), " {}\n", value);
  }
  void single(Family family, std::uint64_t value) {
    begin(family);
    sample({}, value);
  }
  void classes(Label owner, const std::array<std::uint64_t, 6>& by_class) {
    for (std::size_t i = 0; i < by_class.size(); ++i) {
      sample({owner, {"code", kClasses[i]}}, by_class[i]);
    }
  }
  void histogram(Label owner, const HistogramSum& sum) {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
      total += sum.buckets[i];
      const bool last = i == proxy::kLatencyBuckets.size();
      const std::string bound =
          last ? "+Inf"
               : fmt::format("{}", static_cast<double>(proxy::kLatencyBuckets[i]) / 1'000'000);
      name_and_labels("_bucket", {owner, {"le", bound}});
      fmt::format_to(out(), " {}\n", total);
    }
    name_and_labels("_sum", {owner});
    fmt::format_to(out(), " {}\n", static_cast<double>(sum.sum_micros) / 1'000'000);
    name_and_labels("_count", {owner});
    fmt::format_to(out(), " {}\n", total);
  }
  std::string finish() {
    WEIR_ASSERT(next_ == kFamilies.size());
    return std::move(page_);
  }

 private:
  std::back_insert_iterator<std::string> out() { return std::back_inserter(page_); }

  void name_and_labels(std::string_view suffix, Labels labels) {
    page_ += text_->name;
    page_ += suffix;
    if (labels.size() == 0) return;
    char open = '{';
    for (const auto& [name, value] : labels) {
      page_ += std::exchange(open, ',');
      page_ += name;
      page_ += "=\"";
      append_label(value);
      page_ += '"';
    }
    page_ += '}';
  }
  void append_label(std::string_view value) {
    for (const char c : value) {
      if (c == '\n') {
        page_ += "\\n";
      } else {
        if (c == '"' || c == '\\') page_ += '\\';
        page_ += c;
      }
    }
  }
  void append_help(std::string_view help) {
    for (const char c : help) {
      if (c == '\\') page_ += '\\';
      page_ += c;
    }
  }

  std::string page_;
  const FamilyText* text_ = nullptr;
  std::size_t next_ = 0;
};

double seconds(WallTime time) { return static_cast<double>(time.micros) / 1'000'000; }

void render_routes(Page& page, const MetricsSnapshot& metrics) {
  page.begin(Family::requests);
  for (const auto& route : metrics.routes) page.classes({"route", route.name}, route.by_class);
  page.begin(Family::duration);
  for (const auto& route : metrics.routes) page.histogram({"route", route.name}, route.duration);
  page.begin(Family::request_bytes);
  for (const auto& route : metrics.routes) {
    page.sample({{"route", route.name}}, route.bytes_received);
  }
  page.begin(Family::response_bytes);
  for (const auto& route : metrics.routes) page.sample({{"route", route.name}}, route.bytes_sent);
  page.single(Family::requests_active, metrics.total.requests_active);
  page.single(Family::tunnels_active, metrics.total.tunnels_active);
}

void render_upstreams(Page& page, const MetricsSnapshot& metrics) {
  const auto each = [&](Family family, std::uint64_t UpstreamSum::* value) {
    page.begin(family);
    for (const auto& upstream : metrics.upstreams) {
      page.sample({{"upstream", upstream.name}}, upstream.*value);
    }
  };
  page.begin(Family::upstream_requests);
  for (const auto& upstream : metrics.upstreams) {
    page.classes({"upstream", upstream.name}, upstream.by_class);
  }
  page.begin(Family::first_byte);
  for (const auto& upstream : metrics.upstreams) {
    page.histogram({"upstream", upstream.name}, upstream.first_byte);
  }
  each(Family::connects, &UpstreamSum::connects);
  each(Family::connect_failures, &UpstreamSum::connect_failures);
  each(Family::upstream_handshakes, &UpstreamSum::tls_handshakes);
  each(Family::upstream_resumed, &UpstreamSum::tls_resumed);
  each(Family::reuses, &UpstreamSum::reuses);
  each(Family::retries, &UpstreamSum::retries);
  each(Family::upstream_active, &UpstreamSum::active);
  each(Family::upstream_idle, &UpstreamSum::idle);
}

void render_servers(Page& page, const ProcessStatus& process) {
  page.begin(Family::server_up);
  for (const auto& upstream : process.upstreams) {
    for (const auto& server : upstream.servers) {
      page.sample({{"upstream", upstream.name}, {"server", server.name}},
                  std::uint64_t{server.up ? 1U : 0U});
    }
  }
}

void render_tls(Page& page, const WorkerSum& total, const ProcessStatus& process) {
  page.begin(Family::tls_handshakes);
  page.sample({{"version", "1.2"}}, total.tls_handshakes_12);
  page.sample({{"version", "1.3"}}, total.tls_handshakes_13);
  page.single(Family::tls_resumed, total.tls_resumed);
  page.single(Family::tls_failures, total.tls_failures);
  page.begin(Family::tls_expiry);
  for (const CertificateStatus& each : process.certificates) {
    page.sample({{"certificate", each.file}}, static_cast<std::uint64_t>(each.expires));
  }
  page.begin(Family::tls_ocsp_expiry);
  for (const CertificateStatus& each : process.certificates) {
    if (!each.stapled_until) continue;
    page.sample({{"certificate", each.file}}, static_cast<std::uint64_t>(*each.stapled_until));
  }
}

void render_causes(Page& page, const MetricsSnapshot& metrics) {
  page.begin(Family::causes);
  for (std::size_t i = 1; i < metrics.causes.size(); ++i) {
    page.sample({{"cause", describe(static_cast<Cause>(i)).name}}, metrics.causes[i]);
  }
}

void render_reloads(Page& page, const ReloadSum& reloads) {
  page.single(Family::reload_success, reloads.last_succeeded ? 1 : 0);
  page.begin(Family::reload_time);
  page.sample({}, seconds(reloads.last));
  page.begin(Family::reloads);
  page.sample({{"result", "success"}}, reloads.succeeded);
  page.sample({{"result", "failure"}}, reloads.failed);
}

void render_process(Page& page, const ProcessStatus& process) {
  const auto known = [&](Family family, const std::optional<std::uint64_t>& value) {
    page.begin(family);
    if (value) page.sample({}, *value);
  };
  page.begin(Family::build_info);
  page.sample({{"version", process.version}, {"backend", process.backend}}, std::uint64_t{1});
  known(Family::resident, process.usage.resident_bytes);
  known(Family::descriptors, process.usage.descriptors);
  known(Family::descriptors_max, process.usage.descriptors_max);
  page.begin(Family::cpu);
  page.sample({}, process.usage.cpu_seconds);
  page.begin(Family::start_time);
  page.sample({}, seconds(process.started));
}

}  // namespace

std::span<const FamilyText> metric_families() { return kFamilies; }

std::string render_prometheus(const MetricsSnapshot& metrics, const ProcessStatus& process) {
  Page page;
  render_routes(page, metrics);
  render_upstreams(page, metrics);
  render_servers(page, process);
  page.single(Family::conns_active, metrics.total.connections_active);
  page.single(Family::conns_accepted, metrics.total.connections_accepted);
  page.single(Family::conns_refused, metrics.total.connections_refused);
  render_tls(page, metrics.total, process);
  render_causes(page, metrics);
  page.single(Family::buffer_bytes, metrics.total.buffer_bytes);
  page.single(Family::log_dropped, metrics.total.log_lines_dropped + process.log_lines_lost);
  render_reloads(page, metrics.reloads);
  render_process(page, process);
  return page.finish();
}

}  // namespace weir::server
