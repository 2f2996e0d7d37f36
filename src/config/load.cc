// SPDX-License-Identifier: Apache-2.0
#include "config/load.h"

#include <fmt/format.h>
#include <glob.h>
// tidy: allow sans-io because the default admin address depends on the user
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <expected>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "config/check.h"
#include "config/order.h"
#include "config/read.h"

namespace weir::config {
namespace {

constexpr std::size_t kFileSizeMax = 16_MiB;
constexpr std::size_t kIncludesMax = 1'000;

std::expected<std::string, Complaint> read_file(const std::string& path) {
  std::error_code failure;
  if (std::filesystem::is_directory(path, failure)) {
    return std::unexpected(Complaint{"is a directory"});
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    return std::unexpected(Complaint{fmt::format("cannot be read: {}", std::strerror(errno))});
  }
  std::string text;
  char block[16 * 1024];
  while (stream.read(block, sizeof block) || stream.gcount() > 0) {
    text.append(block, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > kFileSizeMax) return std::unexpected(Complaint{"is larger than 16 MiB"});
  }
  return text;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

/// The files that one entry of `include` names, sorted. A pattern may find nothing; a plain name
/// that does not exist is found here and reported when it is read.
std::vector<std::string> find_files(const std::string& pattern) {
  if (pattern.find_first_of("*?[") == std::string::npos) return {pattern};
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  return paths;
}

class Loading {
 public:
  Loaded run(std::string_view text, const std::string& name) {
    const int file = report_.add_file(name, text);
    seen_.insert(canonical(name));
    auto document = parse_toml(text, file, report_);
    if (document) {
      include_files(*document, folder_of(name));
      if (!syntax_error_) finish(*document);
    }
    return {std::move(config_), report_.take_diagnostics()};
  }

  Loaded run_file(const std::string& path) {
    const auto text = read_file(path);
    if (text) return run(*text, path);
    report_.error(Place{.file = report_.add_file(path, "")}, text.error());
    return {nullptr, report_.take_diagnostics()};
  }

 private:
  void include_files(Node& document, const std::string& folder) {
    const Member* include = document.find("include");
    if (include == nullptr || !include->value.is(Node::Kind::array)) return;
    std::vector<std::pair<std::string, Place>> files;
    for (const Node& item : include->value.items) {
      if (!item.is(Node::Kind::string) || item.text.empty()) continue;
      const std::string pattern = item.text.starts_with('/') ? item.text : folder + item.text;
      for (std::string& path : find_files(pattern)) {
        // "*.toml" finds the main file as well, and a file that must come first may be named twice.
        const bool fresh = seen_.insert(canonical(path)).second;
        if (fresh) files.emplace_back(std::move(path), item.place);
      }
    }
    if (files.size() > kIncludesMax) {
      report_.error(include->place, fmt::format("more than {} files are included", kIncludesMax));
      files.clear();
    }
    // Merging changes the document that `include` points into.
    for (const auto& [path, place] : files) include_file(document, path, place);
  }

  void include_file(Node& document, const std::string& path, const Place& place) {
    const auto text = read_file(path);
    if (!text) {
      return report_.error(place, fmt::format("\"{}\" {}", path, text.error().message));
    }
    auto included = parse_toml(*text, report_.add_file(path, *text), report_);
    if (!included) {
      syntax_error_ = true;
      return;
    }
    if (const Member* nested = included->find("include")) {
      report_.error(nested->place, "an included file cannot include others",
                    "list them in the main file");
      std::erase_if(included->members, [](const Member& m) { return m.key == "include"; });
    }
    merge(document, *std::move(included), report_);
  }

  void finish(const Node& document) {
    Draft draft = read_document(report_, document);
    check_draft(report_, draft, document);
    if (report_.failed()) return;
    auto config = std::make_shared<Config>(static_cast<Config&>(draft));
    for (ListenDraft& listen : draft.listen_drafts) {
      for (auto& entry : listen.passthrough_drafts) listen.passthrough.push_back(std::move(entry));
      config->listens.push_back(std::move(listen));
    }
    for (UpstreamDraft& u : draft.upstream_drafts) config->upstreams.push_back(std::move(u));
    config->routes = ordered_routes(report_, std::move(draft.route_drafts));
    if (!draft.admin_given) config->admin.address = default_admin_address();
    config->files = report_.file_names();
    config_ = std::move(config);
  }

  static std::string canonical(const std::string& path) {
    std::error_code failure;
    return std::filesystem::weakly_canonical(path, failure).string();
  }

  Report report_;
  std::set<std::string> seen_;  // canonical paths of the files that were read
  std::shared_ptr<const Config> config_;
  bool syntax_error_ = false;
};

}  // namespace

Loaded load_file(const std::string& path) { return Loading().run_file(path); }

Loaded load_text(std::string_view text, const std::string& filename) {
  return Loading().run(text, filename);
}

Address default_admin_address() {
  Address address;
  address.kind = Address::Kind::unix_path;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (geteuid() == 0) {
    address.path = "/run/weir/admin.sock";
  } else if (runtime != nullptr && *runtime == '/') {
    address.path = fmt::format("{}/weir/admin.sock", runtime);
  } else {
    address.path = fmt::format("/tmp/weir-{}/admin.sock", geteuid());
  }
  return address;
}

}  // namespace weir::config
