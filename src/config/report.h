// SPDX-License-Identifier: Apache-2.0
//
// Collects what is wrong while a configuration is read, with the lines of the files it stands in.
// Lives as long as one load.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"

namespace weir::config {

/// Where something stands. Lines and columns count from 1; line 0 means the file as a whole.
struct Place {
  int file = 0;
  int line = 0;
  int column = 0;
  int length = 0;
};

/// A complaint about a piece of text by those who do not know where it stands.
struct Complaint {
  std::string message;
  std::string hint = {};
};

class Report {
 public:
  /// Makes a file known; Places refer to it by the number returned.
  int add_file(std::string name, std::string_view text);

  void error(const Place& place, std::string message, std::string hint = {});
  void error(const Place& place, Complaint complaint);
  void warning(const Place& place, std::string message, std::string hint = {});

  /// The value at this place is wrong already: no further finding about it is added.
  void mute(const Place& place) { muted_.push_back(place); }

  [[nodiscard]] bool failed() const { return failed_; }
  /// "weir.toml:3:1", to name a second place in a message.
  [[nodiscard]] std::string where(const Place& place) const;
  /// The file that a place is in.
  [[nodiscard]] const std::string& file_at(const Place& place) const;
  [[nodiscard]] std::string_view line_at(const Place& place) const;
  [[nodiscard]] std::vector<std::string> file_names() const;
  /// Everything, by file and line. The report is empty afterwards.
  std::vector<Diagnostic> take_diagnostics();

 private:
  struct File {
    std::string name;
    std::vector<std::string> lines;
  };
  struct Finding {
    Place place;
    std::size_t sequence = 0;
    Diagnostic diagnostic;
  };
  void add(Severity severity, const Place& place, std::string message, std::string hint);

  std::vector<File> files_;
  std::vector<Finding> findings_;
  std::vector<Place> muted_;
  bool failed_ = false;
};

}  // namespace weir::config
