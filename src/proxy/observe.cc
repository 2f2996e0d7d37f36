// SPDX-License-Identifier: Apache-2.0
#include "proxy/observe.h"

#include "proxy/access_log.h"
#include "proxy/log_sink.h"
#include "proxy/snapshot.h"

namespace weir::proxy {

void observe(Context& context, const Record& record) {
  observe(context.metrics, record);
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
