// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <array>

#include "base/assert.h"

namespace weir::cli {
namespace {

constexpr Option kConfig{"--config", 'c', Value::file, "FILE", "the configuration file"};
constexpr Option kIo{"--io", 0, Value::io_backend, "BACKEND", "auto, ring (io_uring) or epoll"};
constexpr Option kWorkers{"--workers", 0, Value::text, "N",
                          "worker threads; one per core by default"};
constexpr Option kLogLevel{"--log-level", 0, Value::log_level, "LEVEL",
                           "of the diagnostics on stderr"};
constexpr Option kAccessLog{"--access-log", 0, Value::log_target, "TARGET",
                            "off, stdout, stderr, syslog or a file"};
constexpr Option kAdmin{"--admin", 0, Value::text, "ADDRESS", "address of the admin socket"};
constexpr Option kListen{"--listen", 0, Value::text, "ADDRESS",
                         "where to listen; :8080 by default"};
constexpr Option kPrint{"--print", 0, Value::none, "",
                        "print the configuration as Weir understands it"};
constexpr Option kPrintAll{"--print-all", 0, Value::none, "", "the same with every default"};
constexpr Option kSchema{"--schema", 0, Value::none, "", "print the JSON schema for editors"};
constexpr Option kSettings{"--settings", 0, Value::none, "", "print the reference of all settings"};
constexpr Option kJson{"--json", 0, Value::none, "", "print the JSON as it came"};

constexpr auto kRun =
    std::to_array<Option>({kConfig, kIo, kWorkers, kLogLevel, kAccessLog, kAdmin});
constexpr auto kProxy = std::to_array<Option>({kIo, kWorkers, kLogLevel, kAccessLog, kAdmin});
constexpr auto kDemo =
    std::to_array<Option>({kListen, kIo, kWorkers, kLogLevel, kAccessLog, kAdmin});
constexpr auto kAsk = std::to_array<Option>({kConfig, kAdmin});
constexpr auto kStatus = std::to_array<Option>({kConfig, kAdmin, kJson});
constexpr auto kCheck = std::to_array<Option>({kConfig, kPrint, kPrintAll, kSchema, kSettings});

constexpr auto kCommands = std::to_array<Command>({
    {"run", "[FILE]", Value::file, "run in the foreground with a configuration file", kRun},
    {"proxy", "LISTEN SERVER...", Value::text, "put Weir before servers without a file", kProxy},
    {"demo", "", Value::none, "an origin, Weir before it, and a page to look at", kDemo},
    {"check", "[FILE]", Value::file, "report all errors of a configuration file", kCheck},
    {"reload", "", Value::none, "make the running Weir read its configuration again", kAsk},
    {"status", "", Value::none, "what the running Weir is doing", kStatus},
    {"stop", "", Value::none, "end the running Weir gracefully", kAsk},
    {"reopen", "", Value::none, "make the running Weir open its log files again", kAsk},
    {"explain", "[CAUSE]", Value::cause, "what a cause means and what to do about it", {}},
    {"version", "", Value::none, "print the version", {}},
    {"completion", "SHELL", Value::shell, "print a completion script for bash, zsh or fish", {}},
});

constexpr auto kBackends = std::to_array<std::string_view>({"auto", "ring", "epoll"});
constexpr auto kLevels = std::to_array<std::string_view>({"error", "warning", "info", "debug"});
constexpr auto kTargets = std::to_array<std::string_view>({"off", "stdout", "stderr", "syslog"});
constexpr auto kShells = std::to_array<std::string_view>({"bash", "zsh", "fish"});

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::span<const std::string_view> words(Value value) {
  switch (value) {
    case Value::none:
    case Value::file:
    case Value::text:
    case Value::cause: return {};
    case Value::io_backend: return kBackends;
    case Value::log_level: return kLevels;
    case Value::log_target: return kTargets;
    case Value::shell: return kShells;
  }
  WEIR_UNREACHABLE("value");
}

}  // namespace weir::cli
