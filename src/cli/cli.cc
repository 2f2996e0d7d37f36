// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <cstdio>

#include "config/load.h"
#include "server/server.h"

namespace weir::cli {

int main(int argc, char** argv) {
  const std::string path = argv[argc - 1];
  const auto load = [path](std::string& text) {
    config::Loaded loaded = config::load_file(path);
    text = config::render(loaded.diagnostics, config::Color::no);
    return loaded.config;
  };
  std::string text;
  auto config = load(text);
  std::fputs(text.c_str(), stderr);
  if (!config) return 1;
  server::Server server(config, load);
  if (auto problem = server.start()) {
    std::fprintf(stderr, "weir: %s\n", problem->c_str());
    return 1;
  }
  return server.run();
}

}  // namespace weir::cli
