// SPDX-License-Identifier: Apache-2.0
//
// A load generator that bench/run.py conducts: one thread, HTTP/1.1, HTTP/2 or WebSocket,
// closed or open loop, each response checked for its status and its length.
//
//     load --to PORT --connections N --path PATH --expect BYTES
//          [--method NAME] [--body BYTES]      a body of so many bytes with each request
//          [--fields N]                        header fields in each request
//          [--paths N]                         "{n}" in PATH counts to N
//          [--pipeline N]                      requests that are sent at once
//          [--close asked|expected]            one request per connection; "asked" sends
//                                              Connection: close, "expected" only waits for the end
//          [--websocket BYTES]                 messages of so many bytes, echoed
//          [--tls full|resumed]                with a whole handshake for each connection, or by a
//                                              ticket of the one before
//          [--streams N]                       HTTP/2, so many requests at once on each connection;
//                                              without --tls by prior knowledge
//          [--warm-up MS|in-turn]              "in-turn": one request on each, one after the other
//
// Opens the connections, warms up, prints "ready"; then for each line on stdin, "SECONDS RATE",
// runs and prints one line of JSON. RATE 0 is a closed loop. Connections stay open between runs, so
// that whoever reads the proxy's CPU time before the one line and after the other has just what the
// counted requests cost. At the end of stdin it exits.
#include <sys/prctl.h>

#include <cinttypes>
#include <cstdio>
#include <span>

#include "load_run.h"
#include "sockets.h"

namespace weir::bench {
namespace {

void print(const Outcome& outcome) {
  const Histogram& latency = outcome.latency_ns;
  const auto us = [&](double percent) {
    return static_cast<double>(latency.percentile(percent)) / 1000;
  };
  std::printf("{\"requests\": %" PRIu64 ", \"errors\": %" PRIu64 ", \"retries\": %" PRIu64
              ", \"reconnects\": %" PRIu64 ", \"unfinished\": %" PRIu64 ", \"bytes\": %" PRIu64
              ", \"handshakes\": %" PRIu64 ", \"resumed\": %" PRIu64
              ", \"seconds\": %.6f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
              "\"p999_us\": %.1f, \"max_us\": %.1f}\n",
              outcome.requests, outcome.errors, outcome.retries, outcome.reconnects,
              outcome.unfinished, outcome.bytes, outcome.handshakes, outcome.resumed,
              outcome.seconds, us(50), us(90), us(99), us(99.9),
              static_cast<double>(latency.max()) / 1000);
  std::fflush(stdout);
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
  using namespace weir::bench;
  prctl(PR_SET_TIMERSLACK, 1);  // an open loop wakes up when it said, not 50 us later
  allow_many_descriptors();
  const Plan plan = plan_of(std::span(argv, static_cast<std::size_t>(argc)));
  Generator generator(plan);
  std::printf("ready\n");
  std::fflush(stdout);
  double seconds = 0;
  double rate = 0;
  // tidy: allow number-parse because it reads what run.py writes
  while (std::fscanf(stdin, "%lf %lf", &seconds, &rate) == 2) {
    print(rate > 0 ? generator.run_open(seconds, rate) : generator.run_closed(seconds));
  }
}
