// SPDX-License-Identifier: Apache-2.0
#include "load_plan.h"

#include "sockets.h"
#include "websocket.h"

namespace weir::bench {
namespace {

constexpr std::string_view kUsualFields = "Host: bench.test\r\nUser-Agent: load\r\nAccept: */*\r\n";
constexpr std::uint64_t kUsualCount = 3;

std::uint64_t number_of(std::span<char*> arguments, std::string_view name,
                        std::string_view otherwise) {
  const auto value = number(option(arguments, name, otherwise));
  if (value) return *value;
  std::fprintf(stderr, "load: %.*s needs a number\n", static_cast<int>(name.size()), name.data());
  std::exit(2);
}

/// "{n}" in a path stands for the number of the message.
std::string path_of(std::string_view path, std::uint64_t n) {
  std::string result(path);
  const std::size_t at = result.find("{n}");
  if (at != std::string::npos) result.replace(at, 3, std::to_string(n));
  return result;
}

/// Fields such as browsers and applications send: short names, values of some 40 bytes.
std::string more_fields(std::uint64_t count) {
  std::string fields;
  for (std::uint64_t i = kUsualCount; i < count; ++i) {
    fields += "X-Field-" + std::to_string(i) + ": a value that is as long as most, " +
              std::to_string(1000 + i) + "\r\n";
  }
  return fields;
}

Plan::Security security_of(std::string_view name) {
  if (name.empty()) return Plan::Security::none;
  if (name == "resumed") return Plan::Security::resumed;
  if (name != "full") fail("--tls");
  return Plan::Security::full;
}

void read_warm_up(std::span<char*> arguments, Plan& plan) {
  if (option(arguments, "--warm-up", "") == "in-turn") {
    plan.warm_up = Plan::WarmUp::in_turn;
  } else {
    plan.warm_up_ms = static_cast<std::int64_t>(number_of(arguments, "--warm-up", "100"));
  }
}

}  // namespace

Plan plan_of(std::span<char*> arguments) {
  Plan plan;
  plan.to = target(arguments);
  plan.connections = number_of(arguments, "--connections", "1");
  plan.pipeline = static_cast<unsigned>(number_of(arguments, "--pipeline", "1"));
  plan.expected_size = number_of(arguments, "--expect", "0");
  plan.body_size = number_of(arguments, "--body", "0");
  plan.streams = static_cast<unsigned>(number_of(arguments, "--streams", "0"));
  plan.security = security_of(option(arguments, "--tls", ""));
  read_warm_up(arguments, plan);
  const std::string_view path = option(arguments, "--path", "/");
  const std::string_view close = option(arguments, "--close", "");
  if (!close.empty()) plan.reuse = Plan::Reuse::close;
  if (plan.streams > 0 && (plan.pipeline > 1 || plan.body_size > 0 || !close.empty())) {
    fail("--streams with --pipeline, --body or --close");
  }

  if (const std::uint64_t size = number_of(arguments, "--websocket", "0"); size > 0) {
    if (size > kFrameMax) fail("--websocket");
    plan.upgrade = "GET " + std::string(path) + " HTTP/1.1\r\n" + std::string(kUsualFields) +
                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: " +
                   std::string(kWebSocketKey) + "\r\n\r\n";
    plan.messages.push_back(client_frame(size));
    plan.frame_size = kServerFrameHead + size;
    return plan;
  }
  const std::string method(option(arguments, "--method", "GET"));
  std::string fields(kUsualFields);
  fields += more_fields(number_of(arguments, "--fields", "0"));
  if (plan.body_size > 0) fields += "Content-Length: " + std::to_string(plan.body_size) + "\r\n";
  if (close == "asked") fields += "Connection: close\r\n";
  const std::uint64_t messages = number_of(arguments, "--paths", "1");
  for (std::uint64_t n = 0; n < messages; ++n) {
    std::string one = method;
    one.append(" ").append(path_of(path, n)).append(" HTTP/1.1\r\n").append(fields).append("\r\n");
    std::string message;
    for (unsigned i = 0; i < plan.pipeline; ++i) message += one;
    plan.messages.push_back(message);
  }
  return plan;
}

}  // namespace weir::bench
