// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <fmt/format.h>
#include <re2/re2.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>

#include "cli/admin_client.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/explain.h"
#include "cli/status_text.h"
#include "config/address.h"
#include "config/dump.h"
#include "config/load.h"
#include "config/nearest.h"
#include "config/settings.h"
#include "config/shortcut.h"
#include "server/demo_origin.h"
#include "server/server.h"
#include "server/tls_store.h"

namespace weir::cli {
namespace {

constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

using SharedConfig = std::shared_ptr<const config::Config>;

/// The command line: values of options by name, and what stands beside them.
struct Options {
  std::map<std::string_view, std::string> values;
  std::vector<std::string> arguments;

  [[nodiscard]] const std::string& value(std::string_view name) const {
    static const std::string kEmpty;
    const auto found = values.find(name);
    return found == values.end() ? kEmpty : found->second;
  }
  [[nodiscard]] bool flag(std::string_view name) const { return values.contains(name); }
  /// --config, or the one argument, or where a configuration usually is.
  [[nodiscard]] std::string config_path() const {
    if (!value("--config").empty()) return value("--config");
    if (!arguments.empty()) return arguments.front();
    return std::filesystem::exists("weir.toml") ? "weir.toml" : "/etc/weir/weir.toml";
  }
};

config::Color color_of(int fd) {
  const bool color = ::isatty(fd) != 0 && std::getenv("NO_COLOR") == nullptr;
  return color ? config::Color::yes : config::Color::no;
}

int complain(std::string_view message) {
  fmt::print(stderr, "weir: {}\n", message);
  return kFailed;
}

// Options of the command line are stronger than the file, at a reload as well.
SharedConfig with_options(SharedConfig config, const Options& options) {
  if (config == nullptr) return nullptr;
  auto changed = std::make_shared<config::Config>(*config);
  const std::string& io = options.value("--io");
  if (io == "ring") changed->io = config::IoBackend::ring;
  if (io == "epoll") changed->io = config::IoBackend::epoll;
  if (io == "auto") changed->io = config::IoBackend::automatic;
  const std::string& level = options.value("--log-level");
  if (level == "error") changed->log_level = config::LogLevel::error;
  if (level == "warning") changed->log_level = config::LogLevel::warning;
  if (level == "info") changed->log_level = config::LogLevel::info;
  if (level == "debug") changed->log_level = config::LogLevel::debug;
  if (options.flag("--access-log")) changed->access_log.to = options.value("--access-log");
  if (options.flag("--workers")) {
    changed->workers = static_cast<int>(parse_u64(options.value("--workers")).value_or(0));
  }
  const std::string& admin = options.value("--admin");
  if (admin == "off") {
    changed->admin.address.reset();
  } else if (const auto address = config::parse_address(admin); !admin.empty() && address) {
    changed->admin.address = *address;
  }
  return changed;
}

SharedConfig load(const Options& options, std::string& text, config::Color color) {
  const std::string path = options.config_path();
  config::Loaded loaded;
  if (path == "-") {
    const std::string input(std::istreambuf_iterator<char>(std::cin), {});
    loaded = config::load_text(input, "(standard input)");
  } else {
    loaded = config::load_file(path);
  }
  text = config::render(loaded.diagnostics, color);
  return with_options(loaded.config, options);
}

int serve(server::Server& server) {
  if (const std::optional<std::string> problem = server.start()) return complain(*problem);
  return server.run();
}

int run(const Options& options) {
  std::string text;
  SharedConfig config = load(options, text, color_of(STDERR_FILENO));
  std::fputs(text.c_str(), stderr);
  if (config == nullptr) return kFailed;
  server::Server::Load again;
  if (options.config_path() != "-") {
    again = [options](std::string& diagnostics) {
      return load(options, diagnostics, config::Color::no);
    };
  }
  server::Server server(config, again);
  return serve(server);
}

// Without a file there is nothing to reload, and no reason to take the admin address of a Weir that
// runs as a service on the same machine.
SharedConfig without_file(const Options& options, std::string_view listen,
                          const std::vector<std::string_view>& servers) {
  const auto made = config::proxy_config(listen, servers);
  if (!made) {
    complain(made.error().message);
    if (!made.error().hint.empty()) fmt::print(stderr, "hint: {}\n", made.error().hint);
    return nullptr;
  }
  Options given = options;
  given.values.emplace("--admin", "off");
  return with_options(*made, given);
}

int proxy(const Options& options) {
  const std::vector<std::string> all = options.arguments;
  if (all.size() < 2) {
    complain("proxy needs an address to listen on and a server: weir proxy :8080 localhost:3000");
    return kUsage;
  }
  const SharedConfig config = without_file(options, all.front(), {all.begin() + 1, all.end()});
  if (config == nullptr) return kUsage;
  server::Server server(config, {});
  return serve(server);
}

// An origin inside, Weir before it.
int demo(const Options& options) {
  const std::string temp = std::filesystem::temp_directory_path().string();
  const std::string path = fmt::format("{}/weir-demo-{}.sock", temp, ::getpid());
  const std::string origin = "unix:" + path;
  const std::string& listen = options.value("--listen");
  const SharedConfig config = without_file(options, listen.empty() ? ":8080" : listen, {origin});
  if (config == nullptr) return kUsage;
  server::Server server(config, {});
  server::DemoOrigin handler(server);
  if (const std::optional<std::string> problem = server.start()) return complain(*problem);
  const auto address = io::SocketAddress::from_unix(path);
  if (!address || !server.listen_with(*address, 0600, handler)) {
    return complain(fmt::format("cannot listen on {}", origin));
  }
  fmt::print(stderr, "\n  Open http://localhost:{}/ in a browser. Ctrl-C ends the demo.\n\n",
             server.first_port());
  const int code = server.run();
  ::unlink(path.c_str());
  return code;
}

/// Says what is wrong with the certificates. False: some listener cannot use one of its own.
bool certificates_good(const config::Config& config) {
  bool good = true;
  for (const tls::Problem& problem : server::check_certificates(config)) {
    const bool error = problem.kind == tls::Problem::Kind::error;
    good = good && !error;
    fmt::print(stderr, "{}: {}\n", error ? "error" : "warning", problem.text);
  }
  return good;
}

int check(const Options& options) {
  if (options.flag("--schema")) fmt::print("{}", config::settings_json_schema());
  if (options.flag("--settings")) fmt::print("{}", config::settings_markdown());
  if (options.flag("--schema") || options.flag("--settings")) return kGood;
  std::string text;
  const SharedConfig config = load(options, text, color_of(STDERR_FILENO));
  std::fputs(text.c_str(), stderr);
  if (config == nullptr) return kFailed;
  if (!certificates_good(*config)) return kFailed;
  if (options.flag("--print-all")) {
    fmt::print("{}", config::dump(*config, config::Show::all));
  } else if (options.flag("--print")) {
    fmt::print("{}", config::dump(*config, config::Show::changed));
  } else {
    fmt::print(stderr, "{}: good ({} listeners, {} upstreams, {} routes)\n", options.config_path(),
               config->listens.size(), config->upstreams.size(), config->routes.size());
  }
  return kGood;
}

// The admin address in a file that cannot be loaded: a reload of a broken file has to reach the
// running Weir all the same.
std::optional<std::string> admin_line(const std::string& path) {
  static const re2::RE2 kLine(R"(\s*admin\s*=\s*["']([^"']+)["'].*)");
  std::ifstream file(path);
  std::string line;
  std::string address;
  while (std::getline(file, line)) {
    if (re2::RE2::FullMatch(line, kLine, &address) && address != "off") return address;
  }
  return std::nullopt;
}

// Where the running Weir is asked: as given, or as its configuration says, or the default.
std::string admin_address(const Options& options) {
  if (!options.value("--admin").empty()) return options.value("--admin");
  const std::string path = options.config_path();
  if (std::filesystem::exists(path)) {
    const config::Loaded loaded = config::load_file(path);
    if (loaded.config != nullptr && loaded.config->admin.address) {
      return loaded.config->admin.address->text();
    }
    if (loaded.config == nullptr) {
      if (const auto address = admin_line(path)) return *address;
    }
  }
  return config::default_admin_address().text();
}

int ask(const Options& options, std::string_view method, std::string_view path) {
  const std::string address = admin_address(options);
  const AdminRequest request{.address = address, .method = method, .path = path};
  const std::expected<AdminReply, std::string> answer = ask_admin(request);
  if (!answer) return complain(answer.error());
  const bool good = answer->status >= 200 && answer->status < 300;
  if (path == "/status" && good && !options.flag("--json")) {
    const auto text = status_text(answer->body);
    fmt::print("{}", text ? *text : answer->body);
  } else {
    fmt::print(good ? stdout : stderr, "{}", answer->body);
  }
  return good ? kGood : kFailed;
}

int show(const Answer& answer) {
  fmt::print("{}", answer.out);
  fmt::print(stderr, "{}", answer.err);
  return answer.exit_code;
}

int completion(const Options& options) {
  const std::string shell = options.arguments.empty() ? "" : options.arguments.front();
  const std::optional<std::string> script = completion_script(shell);
  if (!script) {
    complain("completion knows bash, zsh and fish: weir completion bash");
    return kUsage;
  }
  fmt::print("{}", *script);
  return kGood;
}

int version() {
  fmt::print("weir {}\n", WEIR_VERSION);
  return kGood;
}

// nginx's short forms, for fingers that know them: -t, -T, -s SIGNAL, -c FILE, -v.
std::vector<std::string> translate_short_forms(int argc, char** argv) {
  std::vector<std::string> in(argv + 1, argv + argc);
  std::vector<std::string> out;
  std::string file;
  std::string command;
  std::vector<std::string> rest;
  if (in.empty() || !in[0].starts_with('-') || in[0].starts_with("--")) return in;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool has_value = i + 1 < in.size();
    if (in[i] == "-t") {
      command = "check";
    } else if (in[i] == "-T") {
      command = "check";
      rest.emplace_back("--print");
    } else if (in[i] == "-v" || in[i] == "-V") {
      command = "version";
    } else if (in[i] == "-s" && has_value) {
      const std::string signal = in[++i];
      command = signal == "quit" ? "stop" : signal;
    } else if (in[i] == "-c" && has_value) {
      file = in[++i];
    } else {
      return in;
    }
  }
  out.push_back(command.empty() ? "run" : command);
  out.insert(out.end(), rest.begin(), rest.end());
  if (!file.empty()) out.insert(out.end(), {"--config", file});
  return out;
}

int dispatch(std::string_view name, const Options& options) {
  if (name == "run") return run(options);
  if (name == "proxy") return proxy(options);
  if (name == "demo") return demo(options);
  if (name == "check") return check(options);
  if (name == "reload") return ask(options, "POST", "/reload");
  if (name == "status") return ask(options, "GET", "/status");
  if (name == "stop") return ask(options, "POST", "/stop");
  if (name == "reopen") return ask(options, "POST", "/reopen");
  if (name == "explain") {
    return show(explain(options.arguments.empty() ? "" : options.arguments.front()));
  }
  if (name == "completion") return completion(options);
  WEIR_ASSERT(name == "version");
  return version();
}

int unknown_command(const std::string& name) {
  std::vector<std::string_view> names;
  for (const Command& command : commands()) names.push_back(command.name);
  const std::string_view near = config::nearest(name, names);
  complain(near.empty()
               ? fmt::format("there is no command \"{}\"; see weir --help", name)
               : fmt::format("there is no command \"{}\"; did you mean \"{}\"?", name, near));
  return kUsage;
}

// The table of commands.h as CLI11 wants it; the same table makes the completion scripts.
void add_command(CLI::App& app, const Command& command, Options& options) {
  CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.help));
  for (const Option& option : command.options) {
    std::string names(option.name);
    if (option.letter != 0) names = fmt::format("-{},{}", option.letter, option.name);
    const std::string help(option.help);
    const std::string_view name = option.name;
    if (option.value == Value::none) {
      sub->add_flag_callback(names, [&options, name] { options.values[name] = "yes"; }, help);
      continue;
    }
    CLI::Option* added = sub->add_option_function<std::string>(
        names, [&options, name](const std::string& value) { options.values[name] = value; }, help);
    added->type_name(std::string(option.placeholder));
    const std::span<const std::string_view> fixed = words(option.value);
    if (!fixed.empty() && option.value != Value::log_target) {
      added->check(CLI::IsMember(std::vector<std::string>(fixed.begin(), fixed.end())));
    }
    if (name == "--workers") added->check(CLI::Range(1, 1024));
  }
  if (command.arguments.empty()) return;
  CLI::Option* rest = sub->add_option("arguments", options.arguments, "");
  rest->type_name(std::string(command.arguments));
  if (!command.arguments.contains("...")) rest->expected(0, 1);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Weir, a reverse proxy: takes every connection, passes each byte on.", "weir");
  app.require_subcommand(1);
  app.footer(
      "Short forms: -t check, -T check --print, -s reload|stop|quit|reopen, -c FILE, -v.\n"
      "Documentation: man weir");
  for (const Command& command : commands()) add_command(app, command, options);
  std::vector<std::string> arguments = translate_short_forms(argc, argv);
  if (arguments.empty()) {
    fmt::print(stderr, "{}", app.help());
    return kUsage;
  }
  if (const std::string& first = arguments.front(); !first.starts_with('-')) {
    if (std::ranges::find(commands(), first, &Command::name) == commands().end()) {
      return unknown_command(first);
    }
  }
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  return dispatch(app.get_subcommands().front()->get_name(), options);
}

}  // namespace weir::cli
