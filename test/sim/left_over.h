// SPDX-License-Identifier: Apache-2.0
//
// What a worker still counts when nothing is under way any more.
#pragma once

#include <string>
#include <vector>

#include "proxy/metrics.h"

namespace weir::sim {

/// A text for each count that ought to be zero at the end and is not.
std::vector<std::string> left_over(const proxy::WorkerMetrics& counts);

}  // namespace weir::sim
