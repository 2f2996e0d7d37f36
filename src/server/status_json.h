// SPDX-License-Identifier: Apache-2.0
//
// The status of a running Weir as JSON: what `weir status` prints, what the admin address serves at
// /status, and what the demo's page polls. Members are only ever added.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/metrics_registry.h"
#include "server/process_status.h"

namespace weir::server {

nlohmann::json status_json(const MetricsSnapshot& metrics, const ProcessStatus& process);

}  // namespace weir::server
