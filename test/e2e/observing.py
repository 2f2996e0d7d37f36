# SPDX-License-Identifier: Apache-2.0
"""Access log, metrics, status and health pages."""

import collections
import json
import os
import re
import signal
import sys

from harness import toml
from harness.case import Case
from harness.process import Process
from harness.raw import request
from harness.waiting import eventually
from origins import scripts

FIELDS = {"time", "client", "method", "host", "path", "status", "bytes_sent", "bytes_received",
          "duration_ms", "route", "upstream", "server", "cause", "request_id", "retries",
          "protocol"}


class AccessLog(Case):
    def test_one_line_with_every_field(self):
        origin = self.origin(script=scripts.text("x" * 1000))
        weir = self.weir(origin, route=[{"name": "main", "match": {"path": "/**"},
                                         "upstream": "app"}])
        client = self.client(weir)
        client.send(request("/p?q=1", method="POST", host="a.example", body=b"y" * 300))
        self.assertEqual(client.response("POST").status, 200)
        entry = weir.logged(1)[0]
        self.assertLessEqual(FIELDS, set(entry))
        self.assertEqual((entry["method"], entry["host"], entry["status"]),
                         ("POST", "a.example", 200))
        self.assertEqual(entry["path"].split("?")[0], "/p")
        self.assertEqual((entry["route"], entry["upstream"], entry["server"]),
                         ("main", "app", origin.address))
        self.assertEqual((entry["cause"], entry["retries"]), ("", 0))
        self.assertEqual(entry["client"].rsplit(":", 1)[0] or entry["client"], "127.0.0.1")
        self.assertGreaterEqual(entry["bytes_sent"], 1000)
        self.assertGreaterEqual(entry["bytes_received"], 300)
        self.assertGreaterEqual(entry["duration_ms"], 0)
        self.assertEqual(entry["protocol"], "HTTP/1.1")
        self.assertRegex(str(entry["time"]), r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
        self.assertEqual(entry["request_id"], origin.seen()[0].fields.get("x-request-id"))

    def test_exactly_one_line_per_request(self):
        _, weir = self.proxied()
        for _ in range(5):
            client = self.client(weir)
            client.send(b"".join(request(f"/{n}") for n in range(20)))
            for _ in range(20):
                client.response()
        weir.terminate()
        self.assertEqual(len(weir.log()), 100)

    def test_hostile_bytes_stay_json(self):
        _, weir = self.proxied()
        client = self.client(weir)
        for path in ('/"quote"', "/\\back", "/\xe4\xff", "/%00", "/\u2028"):
            client.send(request(path, 'User-Agent: "\\\x7f'.replace("\x7f", "")))
            if client.response().status != 200:
                client = self.client(weir)
        self.assertEqual(len(weir.logged(5)), 5)

    def test_what_is_known_of_a_refused_request(self):
        _, weir = self.proxied()
        client = self.client(weir)
        client.send(b"HEAD /p HTTP/1.1\r\nHost: a.example\r\nUser-Agent: me\r\nReferer: r\r\nX A: b"
                    b"\r\n\r\n")
        response = client.response("HEAD")
        self.claim_refused(response, 400, "bad_header")
        self.assertTrue(client.closed(), "nothing behind the head")
        entry = weir.logged(1)[0]
        self.assertEqual([entry[name] for name in ("method", "path", "status", "user_agent",
                                                   "referer", "bytes_sent")],
                         ["HEAD", "/p", 400, "me", "r", 0])
        self.assertRegex(entry["request_id"], "^[0-9a-f]{32}$")

    def test_what_is_known_of_a_head_that_does_not_end(self):
        """What was read of it first stands where the buffer was before it grew."""
        _, weir = self.proxied(timeouts={"client_head": "500ms"})
        client = self.client(weir)
        client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\n")
        for number in range(40):
            client.send(b"X-%d: " % number + b"x" * 500 + b"\r\n")
        self.claim_refused(client.response("POST"), 408, "client_head_timeout")
        entry = weir.logged(1)[0]
        self.assertEqual((entry["method"], entry["path"], entry["user_agent"]),
                         ("POST", "/slow", "me"))

    def test_combined(self):
        _, weir = self.proxied(access_log={"format": "combined",
                                           "to": str(self.directory / "access.log")})
        self.client(weir).get("/a?b", "Referer: http://r.example/", 'User-Agent: agent "x"')
        text = eventually(lambda: weir.log_path.exists() and weir.log_path.read_text(), "a line")
        self.assertRegex(text, r'^127\.0\.0\.1 - - \[\d\d/\w{3}/20\d\d:\d\d:\d\d:\d\d [+-]\d{4}\] '
                               r'"GET /a\?b HTTP/1\.1" 200 18 "http://r\.example/" '
                               r'"agent \S*x\S*"\n$')

    def test_stdout(self):
        _, weir = self.proxied(access_log={"format": "json", "to": "stdout"})
        self.client(weir).get("/out")
        found = weir.process.line(r"^\{.*/out.*\}$")
        self.assertEqual(json.loads(found[0])["status"], 200)

    def test_off(self):
        _, weir = self.proxied(access_log="off")
        self.assertEqual(self.client(weir).get().status, 200)

    def test_reopened_on_usr1(self):
        _, weir = self.proxied()
        client = self.client(weir)
        client.get("/before")
        weir.logged(1)
        old = self.directory / "access.log.1"
        os.rename(weir.log_path, old)
        weir.process.signal(signal.SIGUSR1)
        eventually(weir.log_path.exists, "a new file")
        client.get("/after")
        self.assertEqual([entry["path"] for entry in weir.logged(1)], ["/after"])
        self.assertEqual(len(old.read_text().splitlines()), 1)

    def test_full_disk_does_not_stop_the_service(self):
        _, weir = self.proxied(access_log={"format": "json", "to": "/dev/full"})
        client = self.client(weir)
        for _ in range(200):
            self.assertEqual(client.get().status, 200)

    def test_reader_that_stands_still_does_not_stop_the_service(self):
        """stdout is a pipe that nobody reads: lines are dropped and counted, requests go on."""
        origin = self.origin()
        read, write = os.pipe()
        config = self.config(servers=origin, access_log={"format": "json", "to": "stdout"})
        file = self.directory / "weir.toml"
        file.write_text(toml.dumps(config))
        launcher = [sys.executable, "-c", "import os, sys; os.dup2(int(sys.argv[1]), 1); "
                    "os.execv(sys.argv[2], sys.argv[2:])", write]
        weir = self.kept(Process([*launcher, self.weir_path, "run", "--config", file],
                                 pass_fds=[write]))
        weir.line(r"\bready\b")
        weir.port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", weir.text())[1])
        client = self.client(weir)
        for _ in range(50):
            client.send(request("/" + "x" * 1000) * 20)
            for _ in range(20):
                self.assertEqual(client.response().status, 200)
        os.close(read)
        os.close(write)


class Admin(Case):
    def total(self, weir, name, **labels):
        wanted = set(labels.items())
        found = [(key, value) for key, value in weir.metrics().items()
                 if key[0] == name and wanted <= key[1]]
        self.assertTrue(found, f"no {name} {labels} in {weir.ask('/metrics')[1]}")
        return sum(value for _, value in found)

    def test_health(self):
        _, weir = self.proxied()
        self.assertEqual([weir.ask(path)[0] for path in ("/healthz", "/readyz")], [200, 200])
        self.assertEqual(weir.ask("/no-such-page")[0], 404)

    def test_socket_is_not_for_everyone(self):
        _, weir = self.proxied()
        self.assertEqual(os.stat(weir.admin).st_mode & 0o077, 0)

    def test_admin_over_tcp(self):
        origin = self.origin()
        weir = self.weir(origin, admin="127.0.0.1:0")
        text = weir.process.text()
        self.assertGreaterEqual(len(re.findall(r"127\.0\.0\.1:\d+", text)), 2, text)

    def test_status(self):
        origin, weir = self.proxied()
        self.client(weir).get()
        weir.logged(1)  # the response may be here before it is counted
        status = weir.status()
        self.assertEqual((status["pid"], status["backend"]), (weir.pid, self.io))
        self.assertEqual([upstream["name"] for upstream in status["upstreams"]], ["app"])
        server, = status["upstreams"][0]["servers"]
        self.assertEqual((server["name"], server["up"]), (origin.address, True))
        self.assertEqual(sum(route["requests"]["total"] for route in status["routes"]), 1)

    def test_requests_add_up(self):
        origin, weir = self.proxied()
        origin.on("/500", scripts.text("x", 500))
        client = self.client(weir)
        for _ in range(30):
            client.get()
        for _ in range(4):
            client.get("/500")
        weir.logged(34)
        eventually(lambda: self.total(weir, "weir_requests_total") == 34, "34 requests")
        self.assertEqual(self.total(weir, "weir_requests_total", code="5xx"), 4)
        self.assertEqual(self.total(weir, "weir_requests_total", code="2xx"), 30)

    def test_histogram_is_cumulative(self):
        _, weir = self.proxied()
        client = self.client(weir)
        for _ in range(10):
            client.get()
        weir.logged(10)
        sums = collections.Counter()
        for (name, labels), value in weir.metrics().items():
            if name == "weir_request_duration_seconds_bucket":
                sums[float(dict(labels)["le"])] += value
        buckets = sorted(sums.items())
        counts = [value for _, value in buckets]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual((buckets[-1][0], counts[-1]), (float("inf"), 10))
        self.assertEqual(self.total(weir, "weir_request_duration_seconds_count"), 10)

    def test_page_is_well_formed(self):
        """Each family has its TYPE before its samples, and no sample stands twice."""
        _, weir = self.proxied()
        self.client(weir).get()
        types, seen = {}, set()
        for line in weir.ask("/metrics")[1].splitlines():
            if line.startswith("# TYPE "):
                name, kind = line.split()[2:]
                self.assertNotIn(name, types)
                types[name] = kind
            elif line and not line.startswith("#"):
                sample = line.rsplit(" ", 1)[0]
                self.assertNotIn(sample, seen)
                seen.add(sample)
                name = re.match(r"[\w:]+", sample)[0]
                family = re.sub(r"_(bucket|sum|count)$", "", name)
                self.assertTrue(name in types or types.get(family) == "histogram", sample)

    def test_causes_are_counted(self):
        _, weir = self.proxied(scripts.die("fin"))
        self.client(weir).get()
        weir.logged(1)
        text = weir.ask("/metrics")[1]
        self.assertRegex(text, r'\{[^}]*cause="upstream_closed"[^}]*\} 1\b')

    def test_strangers_cannot_make_series(self):
        """Made-up methods, hosts and paths add no label values."""
        _, weir = self.proxied()
        client = self.client(weir)
        client.get()
        weir.logged(1)
        before = len(weir.metrics())
        for number in range(50):
            client.get(f"/p{number}", method=f"M{number}", host=f"h{number}.example")
        weir.logged(51)
        self.assertLess(len(weir.metrics()) - before, 20)

    def test_counters_survive_a_reload(self):
        _, weir = self.proxied()
        client = self.client(weir)
        for _ in range(5):
            client.get()
        weir.logged(5)
        self.assertEqual(weir.reload().returncode, 0)
        client.get()
        weir.logged(6)
        eventually(lambda: self.total(weir, "weir_requests_total") == 6, "six requests")
