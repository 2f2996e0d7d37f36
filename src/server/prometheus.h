// SPDX-License-Identifier: Apache-2.0
//
// The metrics in Prometheus' text format, version 0.0.4. One row of a table per family;
// docs/metrics.md has the same rows, and a test compares the two.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "server/metrics_registry.h"
#include "server/process_status.h"

namespace weir::server {

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

enum class Family : std::uint8_t {
#define WEIR_METRIC(id, name, type, labels, help) id,
#include "server/metrics.def"
#undef WEIR_METRIC
};

struct FamilyText {
  std::string_view name;
  std::string_view type;    ///< counter, gauge or histogram
  std::string_view labels;  ///< "route, code"; "" when there are none
  std::string_view help;
};

/// All families in the order in which they are rendered.
std::span<const FamilyText> metric_families();

std::string render_prometheus(const MetricsSnapshot& metrics, const ProcessStatus& process);

}  // namespace weir::server
