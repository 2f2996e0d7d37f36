// SPDX-License-Identifier: Apache-2.0
#include "proxy/observe.h"

namespace weir::proxy {

void observe(Context& context, const Record& record) {
  if (RouteCounts* counts = record.route_counts; counts != nullptr) {
    counts->by_class[static_cast<std::size_t>(record.status / 100)].add();
    counts->duration.observe(record.duration);
    counts->bytes_received.add(record.bytes_received);
    counts->bytes_sent.add(record.bytes_sent);
  }
  if (record.cause != Cause::none) {
    context.metrics.causes[static_cast<std::size_t>(record.cause)].add();
  }
}

}  // namespace weir::proxy
