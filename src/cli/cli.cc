// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>

#include "cli/admin_client.h"
#include "cli/completion.h"
#include "cli/explain.h"
#include "cli/status_text.h"
#include "config/address.h"
#include "config/dump.h"
#include "config/load.h"
#include "config/settings.h"
#include "config/shortcut.h"
#include "server/demo_origin.h"
#include "server/server.h"

namespace weir::cli {
namespace {

constexpr int kGood = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;

using SharedConfig = std::shared_ptr<const config::Config>;

struct Options {
  std::string config_path;
  std::string io;
  std::string access_log;
  std::string admin;
  std::string listen = ":8080";
  std::vector<std::string> servers;
  int workers = 0;
  bool print = false;
  bool print_all = false;
  bool schema = false;
  bool settings = false;
  bool json = false;
  std::string cause;
  std::string shell;
};

config::Color color_of(int fd) {
  const bool color = ::isatty(fd) != 0 && std::getenv("NO_COLOR") == nullptr;
  return color ? config::Color::yes : config::Color::no;
}

int complain(std::string_view message) {
  fmt::print(stderr, "weir: {}\n", message);
  return kFailed;
}

std::string default_config_path() {
  return std::filesystem::exists("weir.toml") ? "weir.toml" : "/etc/weir/weir.toml";
}

// Flags of the command line are stronger than the file, at a reload as well.
SharedConfig with_options(SharedConfig config, const Options& options) {
  if (config == nullptr) return nullptr;
  auto changed = std::make_shared<config::Config>(*config);
  if (options.io == "ring") changed->io = config::IoBackend::ring;
  if (options.io == "epoll") changed->io = config::IoBackend::epoll;
  if (options.io == "auto") changed->io = config::IoBackend::automatic;
  if (!options.access_log.empty()) changed->access_log.to = options.access_log;
  if (options.workers > 0) changed->workers = options.workers;
  if (options.admin == "off") {
    changed->admin.address.reset();
  } else if (!options.admin.empty()) {
    if (const auto address = config::parse_address(options.admin)) {
      changed->admin.address = *address;
    }
  }
  return changed;
}

SharedConfig load(const Options& options, std::string& text, config::Color color) {
  config::Loaded loaded = options.config_path == "-"
                              ? config::load_text(std::string(std::istreambuf_iterator<char>(std::cin), {}),
                                                  "(standard input)")
                              : config::load_file(options.config_path);
  text = config::render(loaded.diagnostics, color);
  return with_options(loaded.config, options);
}

int serve(server::Server& server) {
  if (const std::optional<std::string> problem = server.start()) return complain(*problem);
  return server.run();
}

int run(Options options) {
  if (options.config_path.empty()) options.config_path = default_config_path();
  std::string text;
  SharedConfig config = load(options, text, color_of(STDERR_FILENO));
  std::fputs(text.c_str(), stderr);
  if (config == nullptr) return kFailed;
  server::Server::Load again;
  if (options.config_path != "-") {
    again = [options](std::string& diagnostics) {
      return load(options, diagnostics, config::Color::no);
    };
  }
  server::Server server(config, again);
  return serve(server);
}

int proxy(Options options) {
  const std::vector<std::string_view> servers(options.servers.begin(), options.servers.end());
  const auto made = config::proxy_config(options.listen, servers);
  if (!made) {
    complain(made.error().message);
    if (!made.error().hint.empty()) fmt::print(stderr, "hint: {}\n", made.error().hint);
    return kUsage;
  }
  if (options.admin.empty()) options.admin = "off";
  server::Server server(with_options(*made, options), {});
  return serve(server);
}

// An origin inside, Weir before it.
int demo(Options options) {
  // The origin's port is known only once it listens, so the configuration is made in two steps: the
  // upstream begins without a server, and gets the origin's address as a reload would give it.
  const std::string origin =
      fmt::format("unix:{}/weir-demo-{}.sock", std::filesystem::temp_directory_path().string(),
                  ::getpid());
  const auto made = config::proxy_config(options.listen, {origin});
  if (!made) {
    complain(made.error().message);
    return kUsage;
  }
  if (options.admin.empty()) options.admin = "off";
  const SharedConfig config = with_options(*made, options);
  server::Server server(config, {});
  server::DemoOrigin handler(server);
  if (const std::optional<std::string> problem = server.start()) return complain(*problem);
  const auto address = io::SocketAddress::from_unix(origin.substr(5));
  if (!address || !server.listen_with(*address, 0600, handler)) {
    return complain(fmt::format("cannot listen on {}", origin));
  }
  const std::string port = std::to_string(server.first_port());
  fmt::print(stderr, "\n  Open http://localhost:{}/ in a browser. Ctrl-C ends the demo.\n\n", port);
  const int code = server.run();
  ::unlink(origin.substr(5).c_str());
  return code;
}

int check(Options options) {
  if (options.schema || options.settings) {
    fmt::print("{}", options.schema ? config::settings_json_schema() : config::settings_markdown());
    return kGood;
  }
  if (options.config_path.empty()) options.config_path = default_config_path();
  std::string text;
  const SharedConfig config = load(options, text, color_of(STDERR_FILENO));
  std::fputs(text.c_str(), stderr);
  if (config == nullptr) return kFailed;
  if (options.print || options.print_all) {
    fmt::print("{}", config::dump(*config, options.print_all ? config::Show::all
                                                             : config::Show::changed));
  } else {
    fmt::print(stderr, "{}: good ({} listeners, {} upstreams, {} routes)\n", options.config_path,
               config->listens.size(), config->upstreams.size(), config->routes.size());
  }
  return kGood;
}

// Where the running Weir is asked: given, or as its configuration says, or the default.
std::optional<config::Address> admin_address(const Options& options) {
  if (!options.admin.empty()) {
    const auto address = config::parse_address(options.admin);
    if (!address) {
      complain(address.error().message);
      return std::nullopt;
    }
    return *address;
  }
  const std::string path =
      options.config_path.empty() ? default_config_path() : options.config_path;
  if (std::filesystem::exists(path)) {
    const config::Loaded loaded = config::load_file(path);
    if (loaded.config != nullptr && loaded.config->admin.address) {
      return loaded.config->admin.address;
    }
  }
  return config::default_admin_address();
}

int ask(const Options& options, std::string_view method, std::string_view path) {
  const std::optional<config::Address> address = admin_address(options);
  if (!address) return kUsage;
  const auto answer = ask_admin(*address, method, path);
  if (!answer) return complain(answer.error());
  const bool good = answer->status >= 200 && answer->status < 300;
  if (path == "/status" && good && !options.json) {
    const auto text = status_text(answer->body);
    fmt::print("{}", text ? *text : answer->body);
  } else {
    fmt::print(good ? stdout : stderr, "{}", answer->body);
  }
  return good ? kGood : kFailed;
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

void add_serving_options(CLI::App& command, Options& options) {
  command.add_option("--io", options.io, "I/O backend")
      ->check(CLI::IsMember({"auto", "ring", "epoll"}));
  command.add_option("--workers", options.workers, "number of workers (default: one per core)")
      ->check(CLI::Range(1, 1024));
  command.add_option("--access-log", options.access_log,
                     "off, stdout, stderr, syslog or a file's path");
  command.add_option("--admin", options.admin, "address of the admin interface, or off");
}

void add_config_option(CLI::App& command, Options& options) {
  command.add_option("-c,--config", options.config_path,
                     "configuration file (default: ./weir.toml, then /etc/weir/weir.toml)");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::function<int()> action;
  CLI::App app("Weir, a reverse proxy: takes every connection, passes each byte on.", "weir");
  app.require_subcommand(1);
  app.footer("Short forms: -t check, -T check --print, -s reload|stop|quit|reopen, -c FILE, -v.\n"
             "Documentation: man weir");
  const auto add = [&](const char* name, const char* help, auto function) {
    CLI::App* command = app.add_subcommand(name, help);
    command->callback([&, function] { action = [&, function] { return function(options); }; });
    return command;
  };

  CLI::App* command = add("run", "run with a configuration file, in the foreground", run);
  add_config_option(*command, options);
  command->add_option("file", options.config_path, "configuration file");
  add_serving_options(*command, options);

  command = add("proxy", "run without a file: weir proxy :8080 localhost:3000", proxy);
  command->add_option("listen", options.listen, "address to listen on")->required();
  command->add_option("servers", options.servers, "servers that answer")->required();
  add_serving_options(*command, options);

  command = add("demo", "an origin, a proxy before it, and a page to look at", demo);
  command->add_option("--listen", options.listen, "address to listen on")->capture_default_str();
  add_serving_options(*command, options);

  command = add("check", "check a configuration file: all errors at once", check);
  add_config_option(*command, options);
  command->add_option("file", options.config_path, "configuration file; - for standard input");
  command->add_flag("--print", options.print, "print it as Weir understands it");
  command->add_flag("--print-all", options.print_all, "the same with every default");
  command->add_flag("--schema", options.schema, "print the JSON schema for editors");
  command->add_flag("--settings", options.settings, "print the reference of all settings");

  const auto add_asking = [&](const char* name, const char* help, const char* method,
                              const char* path) {
    CLI::App* asking = add(name, help, [method, path](const Options& given) {
      return ask(given, method, path);
    });
    add_config_option(*asking, options);
    asking->add_option("--admin", options.admin, "address of the admin interface");
    return asking;
  };
  add_asking("reload", "let a running Weir read its configuration again", "POST", "/reload");
  add_asking("stop", "let a running Weir finish what it does and exit", "POST", "/stop");
  add_asking("reopen", "let a running Weir open its log files again", "POST", "/reopen");
  command = add_asking("status", "what a running Weir does", "GET", "/status");
  command->add_flag("--json", options.json, "as JSON");

  command = add("explain", "what a cause code means and what to do about it",
                [](const Options& given) { return explain(given.cause); });
  command->add_option("cause", options.cause, "a cause; without it all are listed");
  command = add("completion", "print a shell's completion script",
                [](const Options& given) { return print_completion(given.shell); });
  command->add_option("shell", options.shell, "bash, zsh or fish")->required();
  add("version", "print the version", [](const Options&) { return version(); });

  std::vector<std::string> arguments = translate_short_forms(argc, argv);
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGood : kUsage;
  }
  return action();
}

}  // namespace weir::cli
