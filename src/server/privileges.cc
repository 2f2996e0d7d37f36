// SPDX-License-Identifier: Apache-2.0
#include "server/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace weir::server {

std::optional<std::string> drop_privileges(const std::string& user_name,
                                           const std::string& group_name,
                                           const std::vector<std::string>& files) {
  if (user_name.empty() && group_name.empty()) return std::nullopt;
  if (geteuid() != 0) return "`user` and `group` need Weir to be started as root";
  gid_t group = 0;
  const passwd* user = nullptr;
  if (!user_name.empty()) {
    user = getpwnam(user_name.c_str());
    if (user == nullptr) return fmt::format("there is no user \"{}\"", user_name);
    group = user->pw_gid;
  }
  if (!group_name.empty()) {
    const struct group* entry = getgrnam(group_name.c_str());
    if (entry == nullptr) return fmt::format("there is no group \"{}\"", group_name);
    group = entry->gr_gid;
  }
  // What was made as root and will be asked for, replaced or removed as the user.
  for (const std::string& path : files) {
    ignore(::chown(path.c_str(), user != nullptr ? user->pw_uid : uid_t(-1), group),
           "it stays root's, and stays usable as far as its permissions go");
  }
  if (user != nullptr && initgroups(user_name.c_str(), group) != 0) {
    return fmt::format("cannot become {}: {}", user_name, std::strerror(errno));
  }
  if (setgid(group) != 0) return fmt::format("cannot change the group: {}", std::strerror(errno));
  if (user != nullptr && setuid(user->pw_uid) != 0) {
    return fmt::format("cannot become {}: {}", user_name, std::strerror(errno));
  }
  return std::nullopt;
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

}  // namespace weir::server
