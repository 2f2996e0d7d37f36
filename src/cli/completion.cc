// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>
#include <vector>

#include "base/error.h"
#include "cli/commands.h"

namespace weir::cli {
namespace {

std::vector<std::string_view> cause_names() {
  std::vector<std::string_view> names;
  for (std::size_t i = 1; i < cause_count(); ++i) {
    names.push_back(describe(static_cast<Cause>(i)).name);
  }
  return names;
}

std::string joined(Value value) {
  if (value == Value::cause) return fmt::format("{}", fmt::join(cause_names(), " "));
  return fmt::format("{}", fmt::join(words(value), " "));
}

std::string command_names() {
  std::vector<std::string_view> names;
  for (const auto& command : commands()) names.push_back(command.name);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string option_names(const Command& command) {
  std::string names;
  for (const auto& option : command.options) {
    fmt::format_to(std::back_inserter(names), "{} ", option.name);
    if (option.letter != 0) fmt::format_to(std::back_inserter(names), "-{} ", option.letter);
  }
  return names + "--help";
}

/// In single quotes: no help text has one.
std::string bash_values(Value value) {
  if (value == Value::file) return "COMPREPLY=($(compgen -f -- \"$word\")); compopt -o filenames";
  if (value == Value::log_target) {
    return fmt::format("COMPREPLY=($(compgen -W '{}' -f -- \"$word\"))", joined(value));
  }
  return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$word\"))", joined(value));
}

std::string bash_script() {
  std::string out =
      "# bash completion for weir: source <(weir completion bash)\n"
      "_weir() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n";
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$word\"))\n",
                 command_names());
  out += "    return\n  fi\n  case ${COMP_WORDS[1]}:$before in\n";
  for (const auto& command : commands()) {
    for (const auto& option : command.options) {
      if (option.value == Value::none) continue;
      fmt::format_to(to, "    {}:{}", command.name, option.name);
      if (option.letter != 0) fmt::format_to(to, "|{}:-{}", command.name, option.letter);
      fmt::format_to(to, ") {}; return;;\n", bash_values(option.value));
    }
  }
  out += "  esac\n  case ${COMP_WORDS[1]}:$word in\n";
  for (const auto& command : commands()) {
    fmt::format_to(to, "    {}:-*) COMPREPLY=($(compgen -W '{}' -- \"$word\"));;\n", command.name,
                   option_names(command));
    if (command.argument != Value::none) {
      fmt::format_to(to, "    {}:*) {};;\n", command.name, bash_values(command.argument));
    }
  }
  out += "  esac\n}\ncomplete -F _weir weir\n";
  return out;
}

std::string zsh_values(Value value) {
  switch (value) {
    case Value::file: return "_files";
    case Value::log_target: return "_files";
    case Value::none:
    case Value::text: return "";
    case Value::io_backend:
    case Value::log_level:
    case Value::shell:
    case Value::cause: return fmt::format("({})", joined(value));
  }
  return "";
}

std::string zsh_option(const Option& option) {
  const std::string value = option.value == Value::none ? ""
                                                        : fmt::format(":{}:{}", option.placeholder,
                                                                      zsh_values(option.value));
  std::string out = fmt::format(" '{}[{}]{}'", option.name, option.help, value);
  if (option.letter != 0) out += fmt::format(" '-{}[{}]{}'", option.letter, option.help, value);
  return out;
}

std::string zsh_script() {
  std::string out =
      "#compdef weir\n"
      "# zsh completion for weir: weir completion zsh > \"${fpath[1]}/_weir\"\n"
      "_weir() {\n"
      "  local -a commands=(\n";
  const auto to = std::back_inserter(out);
  for (const auto& command : commands()) {
    fmt::format_to(to, "    '{}:{}'\n", command.name, command.help);
  }
  out +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words\n"
      "  (( CURRENT-- ))\n"
      "  case $command in\n";
  for (const auto& command : commands()) {
    fmt::format_to(to, "    {}) _arguments '--help[how to use it]'", command.name);
    for (const auto& option : command.options) out += zsh_option(option);
    if (command.argument != Value::none) {
      fmt::format_to(to, " '*:{}:{}'", command.arguments.starts_with('[') ? "cause" : "argument",
                     zsh_values(command.argument));
    }
    out += ";;\n";
  }
  out +=
      "  esac\n"
      "}\n"
      "if [ \"$funcstack[1]\" = \"_weir\" ]; then _weir \"$@\"; else compdef _weir weir; fi\n";
  return out;
}

std::string fish_values(Value value) {
  if (value == Value::none) return "";
  if (value == Value::file) return " -r -F";
  if (value == Value::log_target) return fmt::format(" -r -F -a '{}'", joined(value));
  return value == Value::text ? " -x" : fmt::format(" -x -a '{}'", joined(value));
}

std::string fish_script() {
  std::string out =
      "# fish completion for weir: weir completion fish | source\n"
      "complete -c weir -f\n";
  const auto to = std::back_inserter(out);
  for (const auto& command : commands()) {
    fmt::format_to(to, "complete -c weir -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                   command.help);
    const auto when =
        fmt::format("complete -c weir -n '__fish_seen_subcommand_from {}'", command.name);
    for (const auto& option : command.options) {
      fmt::format_to(to, "{} -l {}", when, option.name.substr(2));
      if (option.letter != 0) fmt::format_to(to, " -s {}", option.letter);
      fmt::format_to(to, "{} -d '{}'\n", fish_values(option.value), option.help);
    }
    if (command.argument == Value::file) fmt::format_to(to, "{} -F\n", when);
    const std::string choices = joined(command.argument);
    if (!choices.empty()) fmt::format_to(to, "{} -a '{}'\n", when, choices);
  }
  return out;
}

}  // namespace

std::optional<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") return bash_script();
  if (shell == "zsh") return zsh_script();
  if (shell == "fish") return fish_script();
  return std::nullopt;
}

}  // namespace weir::cli
