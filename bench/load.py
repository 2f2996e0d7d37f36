# SPDX-License-Identifier: Apache-2.0
"""One measurement: load from wrk on one core, CPU time and memory of the proxy on the other."""

import collections
import http.client
import os
import re
import subprocess
import zlib

Scenario = collections.namedtuple("Scenario", "name path connections header floors")
Result = collections.namedtuple(
    "Result", "cpu_us user_us rate p50_ms p99_ms rss_mib requests errors")

UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


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


def cpu_us(leader):
    """(user, system) time of all threads of the process and its children so far."""
    user = system = 0
    for pid in processes(leader):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        user += int(fields[11])
        system += int(fields[12])
    return user * TICK_US, system * TICK_US


def rss_mib(leader):
    total = 0
    for pid in processes(leader):
        with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
            total += sum(int(line.split()[1]) for line in stream if line.startswith("VmRSS"))
    return total / 1024


def latency_ms(text, percent):
    match = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    return float(match[1]) * UNITS_MS[match[2]] if match else float("nan")


def errors_of(text):
    """Socket errors and responses that are not 2xx or 3xx."""
    match = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    count = sum(map(int, match.groups())) if match else 0
    match = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return count + (int(match[1]) if match else 0)


def run(scenario, proxy, seconds, core):
    command = ["wrk", "-t1", f"-c{scenario.connections}", f"-d{seconds}s", "--latency",
               "--timeout", "10s", f"http://127.0.0.1:{proxy.port}{scenario.path}"]
    if scenario.header:
        command[1:1] = ["-H", scenario.header]
    user_before, system_before = cpu_us(proxy.pid)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    user_after, system_after = cpu_us(proxy.pid)
    match = re.search(r"(\d+) requests in ([\d.]+)(s|m)", done.stdout)
    requests = int(match[1]) if match else 0
    if requests == 0:
        raise SystemExit(f"{scenario.name}: no request went through {proxy.name}\n{done.stdout}")
    user = user_after - user_before
    total = user + system_after - system_before
    time_s = float(match[2]) * UNITS_MS[match[3]] / 1000
    return Result(total / requests, user / requests, requests / time_s,
                  latency_ms(done.stdout, 50), latency_ms(done.stdout, 99), rss_mib(proxy.pid),
                  requests, errors_of(done.stdout))


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def verify(proxy, origin_port):
    """The proxy passes on exactly what the origin sends, and does the same work as the others."""
    for size in (0, 1024, 65536, 1048576, 5_000_000):
        status, body = get(proxy.port, f"/bytes/{size}")
        expected = get(origin_port, f"/hash/{size}")[1].decode().strip()
        if status != 200 or len(body) != size or f"{zlib.crc32(body):08x}" != expected:
            raise SystemExit(f"{proxy.name}: a body of {size} bytes did not arrive as it was sent "
                             f"(status {status}, {len(body)} bytes)")
    head = get(proxy.port, "/echo")[1].lower()
    if not proxy.is_floor and b"\r\nx-forwarded-for: 127.0.0.1\r\n" not in head:
        raise SystemExit(f"{proxy.name}: no X-Forwarded-For reached the origin:\n{head.decode()}")
