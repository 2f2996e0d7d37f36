// SPDX-License-Identifier: Apache-2.0
//
// The sub-commands and their options as one table: completion scripts are made from it, and the
// manual page is compared with it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::cli {

/// What a shell can offer as an option's value or a command's argument.
enum class Value : std::uint8_t {
  none,
  file,
  text,
  io_backend,
  log_level,
  log_target,
  shell,
  cause
};

struct Option {
  std::string_view name;  ///< "--config"
  char letter = 0;        ///< 'c' for -c; 0: none
  Value value = Value::none;
  std::string_view placeholder;  ///< "FILE"; "" when there is no value
  std::string_view help;
};

struct Command {
  std::string_view name;
  std::string_view arguments;  ///< "LISTEN SERVER..."; "" when there are none
  Value argument = Value::none;
  std::string_view help;
  std::span<const Option> options;
};

std::span<const Command> commands();

/// The fixed words of a value; empty for none, file, text and cause.
std::span<const std::string_view> words(Value value);

}  // namespace weir::cli
