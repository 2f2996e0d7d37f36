// SPDX-License-Identifier: Apache-2.0
#include "config/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/assert.h"

namespace weir::config {
namespace {

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

int Report::add_file(std::string name, std::string_view text) {
  files_.push_back({std::move(name), split_lines(text)});
  return static_cast<int>(files_.size()) - 1;
}

void Report::error(const Place& place, std::string message, std::string hint) {
  failed_ = true;
  add(Severity::error, place, std::move(message), std::move(hint));
}

void Report::error(const Place& place, Complaint complaint) {
  error(place, std::move(complaint.message), std::move(complaint.hint));
}

void Report::warning(const Place& place, std::string message, std::string hint) {
  add(Severity::warning, place, std::move(message), std::move(hint));
}

void Report::add(Severity severity, const Place& place, std::string message, std::string hint) {
  const bool muted = std::ranges::any_of(muted_, [&](const Place& p) {
    return p.file == place.file && p.line == place.line && p.column == place.column;
  });
  if (muted) return;
  WEIR_ASSERT(place.file >= 0 && static_cast<std::size_t>(place.file) < files_.size());
  Diagnostic d;
  d.severity = severity;
  d.file = files_[static_cast<std::size_t>(place.file)].name;
  d.line = place.line;
  d.column = place.column;
  d.length = place.length;
  d.message = std::move(message);
  d.hint = std::move(hint);
  d.excerpt = line_at(place);
  findings_.push_back({place, findings_.size(), std::move(d)});
}

std::string Report::where(const Place& place) const {
  const std::string& name = files_[static_cast<std::size_t>(place.file)].name;
  return place.line == 0 ? name : fmt::format("{}:{}:{}", name, place.line, place.column);
}

const std::string& Report::file_at(const Place& place) const {
  return files_[static_cast<std::size_t>(place.file)].name;
}

std::string_view Report::line_at(const Place& place) const {
  const File& file = files_[static_cast<std::size_t>(place.file)];
  const auto index = static_cast<std::size_t>(place.line) - 1;
  if (place.line <= 0 || index >= file.lines.size()) return {};
  return file.lines[index];
}

std::vector<std::string> Report::file_names() const {
  std::vector<std::string> names;
  for (const File& file : files_) names.push_back(file.name);
  return names;
}

std::vector<Diagnostic> Report::take_diagnostics() {
  std::ranges::sort(findings_, {}, [](const Finding& f) {
    return std::tuple(f.place.file, f.place.line, f.place.column, f.sequence);
  });
  std::vector<Diagnostic> out;
  for (Finding& finding : findings_) out.push_back(std::move(finding.diagnostic));
  findings_.clear();
  return out;
}

}  // namespace weir::config
