// SPDX-License-Identifier: Apache-2.0
#include "proxy/observe.h"

#include "proxy/access_log.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"

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
  if (context.log == nullptr) return;
  std::string line = context.texts.take();
  switch (context.snapshot->config().access_log.format) {
    case config::LogFormat::json: append_json(line, record); break;
    case config::LogFormat::combined: append_combined(line, record); break;
  }
  context.log->append(line);
  context.texts.give(std::move(line));
}

}  // namespace weir::proxy
