// SPDX-License-Identifier: Apache-2.0
#include "fuzz_script.h"

#include <algorithm>

namespace weir::sim {
namespace {

constexpr std::size_t kStepsMax = 40;  // of one client, or one answer
constexpr std::size_t kAnswersMax = 20;
constexpr std::uint64_t kWaitMax = 20'000;

bool is_instruction(std::string_view line) {
  if (line.size() < 2) return false;
  if (line[0] == '*') return line[1] >= 'a' && line[1] <= 'z';
  if (line[0] == 's') return std::string_view(">!+=|x").find(line[1]) != std::string_view::npos;
  if (line[0] < '0' || line[0] > '3') return false;
  return std::string_view(">=|x").find(line[1]) != std::string_view::npos;
}

/// Takes an instruction, with the lines that belong to it, off `rest`.
std::string_view take(std::string_view& rest) {
  for (std::size_t lf = rest.find('\n'); lf != std::string_view::npos;
       lf = rest.find('\n', lf + 1)) {
    if (!is_instruction(rest.substr(lf + 1, 2))) continue;
    const std::string_view all = rest.substr(0, lf);
    rest.remove_prefix(lf + 1);
    return all;
  }
  std::string_view all = std::exchange(rest, {});
  if (all.ends_with('\n')) all.remove_suffix(1);
  return all;
}

std::uint64_t leading_number(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text.substr(0, 9)) {
    if (c < '0' || c > '9') break;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return value;
}

void set_knob(FuzzScript& script, std::string_view text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const std::string_view name = text.substr(0, space);
  const std::uint64_t n = leading_number(text.substr(std::min(space + 1, text.size())));
  const double percent = static_cast<double>(n % 101) / 100;
  io::SimFaults& faults = script.faults;
  if (name == "seed") script.seed = n;
  if (name == "short_read") faults.short_read = percent;
  if (name == "short_write") faults.short_write = percent;
  if (name == "short_bytes") faults.short_bytes_max = 1 + n % 64;
  if (name == "deferred") faults.deferred = percent;
  if (name == "delay_us") faults.delay_max = Micros(n % 100'000);
  if (name == "refused") faults.connect_refused = percent;
  if (name == "silent") faults.connect_silent = percent;
  if (name == "slow") faults.connect_slow = percent;
  if (name == "reset") faults.reset = percent;
  if (name == "reset_within") faults.reset_within = 1 + n % 100'000;
  if (name == "no_descriptors") faults.no_descriptors = percent / 2;
  if (name == "capacity") faults.receive_capacity = 16 + n % 65'536;
  if (name == "budget_kib") script.budget = std::max<std::size_t>(n % 65'536, 64) * 1024;
  if (name == "drain_ms") script.drain_at = Millis(n % kWaitMax);
  if (name == "reload_ms") script.reload_at = Millis(n % kWaitMax);
}

FuzzStep step_of(std::string_view text) {
  FuzzStep step;
  const std::string_view rest = text.substr(2);
  switch (text[1]) {
    case '=':
      step.kind = FuzzStep::Kind::wait;
      step.time = Millis(leading_number(rest) % kWaitMax);
      break;
    case '|': step.kind = FuzzStep::Kind::end; break;
    case 'x': step.kind = FuzzStep::Kind::reset; break;
    default: step.bytes = rest; break;
  }
  return step;
}

void add_to_answers(FuzzScript& script, std::string_view text) {
  const bool first = text[1] == '>' || text[1] == '!';
  if (first && script.answers.size() < kAnswersMax) {
    script.answers.push_back({text[1] == '!', {}});
  } else if (first || script.answers.empty()) {
    return;
  }
  std::vector<FuzzStep>& steps = script.answers.back().steps;
  if (steps.size() < kStepsMax) steps.push_back(step_of(text));
}

}  // namespace

FuzzScript parse_fuzz_script(std::string_view text) {
  FuzzScript script;
  while (!text.empty()) {
    const std::string_view one = take(text);
    if (!is_instruction(one)) continue;
    if (one[0] == '*') {
      set_knob(script, one.substr(1));
    } else if (one[0] == 's') {
      add_to_answers(script, one);
    } else {
      std::vector<FuzzStep>& steps = script.clients[static_cast<std::size_t>(one[0] - '0')];
      if (steps.size() < kStepsMax) steps.push_back(step_of(one));
    }
  }
  return script;
}

}  // namespace weir::sim
