// SPDX-License-Identifier: Apache-2.0
#include "io/select_backend.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "io/ring_io.h"

namespace weir::io {
namespace {

// What a container does: io_uring_setup() fails with EPERM.
bool forbid_ring() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{4, program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

enum Verdict : int { kGood = 0, kNotForbidden = 1, kWrong = 2 };

Verdict select_where_forbidden() {
  if (!forbid_ring()) return kNotForbidden;
  const Result<Selected> automatic = select_backend(Backend::automatic);
  if (!automatic || automatic->backend != Backend::epoll) return kWrong;
  if (!automatic->why.starts_with("using epoll")) return kWrong;
  return select_backend(Backend::ring) ? kWrong : kGood;
}

TEST(SelectBackend, WhereTheRingIsForbiddenItFailsAndAutomaticDoesNot) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(select_where_forbidden());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kGood) << "1: seccomp is not to be had here";
}

TEST(SelectBackend, AutomaticIsEpoll) {
  const Result<Selected> selected = select_backend(Backend::automatic);
  ASSERT_TRUE(selected.has_value());
  EXPECT_EQ(selected->backend, Backend::epoll);
  Loop loop(1_MiB);
  Result<std::unique_ptr<Io>> io = make_io(selected->backend, loop);
  ASSERT_TRUE(io.has_value());
  EXPECT_EQ((*io)->name(), "epoll");
}

TEST(SelectBackend, TheRingIsTakenWhenAskedForWhereItWorks) {
  const bool works = ring_self_test().has_value();
  const Result<Selected> selected = select_backend(Backend::ring);
  EXPECT_EQ(selected.has_value(), works);
  if (works) EXPECT_EQ(selected->backend, Backend::ring);
}

TEST(SelectBackend, EpollIsTakenWhenAskedFor) {
  const Result<Selected> selected = select_backend(Backend::epoll);
  ASSERT_TRUE(selected.has_value());
  EXPECT_EQ(selected->backend, Backend::epoll);
}

}  // namespace
}  // namespace weir::io
