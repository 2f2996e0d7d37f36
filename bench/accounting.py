# SPDX-License-Identifier: Apache-2.0
"""What programs have used: CPU time and memory, read from /proc.

The total is the scheduler's own count of nanoseconds on a core (the first field of schedstat; on
kernels without it utime + stime, 10 ms at a time). Work that the kernel does for a socket in a
softirq while a thread sends is part of that thread's time, unless the kernel keeps interrupt time
apart (CONFIG_IRQ_TIME_ACCOUNTING). The kernel splits user from system only by looking at each timer
tick, so the share of user time is a sample: 250 or 1,000 looks a second.
"""

import collections
import os

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

# threads: {thread id: ns}; user and system in ticks, of the processes.
Usage = collections.namedtuple("Usage", "threads user system")


def processes(leader):
    """The process and its descendants: nginx does its work in a child."""
    found, queue = [], [leader]
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as stream:
                    queue += map(int, stream.read().split())
        except OSError:
            pass
    return found


def stat_ticks(text):
    """(user, system) from the text of a /proc stat file; the name in it may hold anything."""
    fields = text.rsplit(")", 1)[1].split()
    return int(fields[11]), int(fields[12])


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def thread_ns(folder):
    try:
        return int(read(f"{folder}/schedstat").split()[0])
    except FileNotFoundError:
        return sum(stat_ticks(read(f"{folder}/stat"))) * TICK_NS


def usage(leader):
    """What the processes of `leader` have used so far."""
    threads, user, system = {}, 0, 0
    for pid in processes(leader):
        try:
            own = stat_ticks(read(f"/proc/{pid}/stat"))
            for task in os.listdir(f"/proc/{pid}/task"):
                threads[int(task)] = thread_ns(f"/proc/{pid}/task/{task}")
        except (FileNotFoundError, ProcessLookupError):
            continue
        user, system = user + own[0], system + own[1]
    return Usage(threads, user, system)


def between(before, after):
    """The usage from one reading to the next; a thread that is new began with nothing."""
    threads = {tid: ns - before.threads.get(tid, 0) for tid, ns in after.threads.items()}
    return Usage(threads, after.user - before.user, after.system - before.system)


def total_ns(used):
    return sum(used.threads.values())


def memory_kib(leader):
    """Pages of the processes, each shared page divided among those that share it."""
    total = 0
    for pid in processes(leader):
        try:
            total += sum(int(line.split()[1])
                         for line in read(f"/proc/{pid}/smaps_rollup").splitlines()
                         if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def busy_ns(core):
    """How long the core has not been idle, whoever used it."""
    for line in read("/proc/stat").splitlines():
        if line.startswith(f"cpu{core} "):
            fields = list(map(int, line.split()[1:9]))
            return (sum(fields) - fields[3] - fields[4]) * TICK_NS
    return 0
