# SPDX-License-Identifier: Apache-2.0
"""Many clients at once, 2 workers: nothing broken, nothing but 2xx, nothing mixed up."""

import hashlib
import random
import re
import signal
import threading

from harness.case import Case, alone, bound, full
from harness.process import run, tool
from harness.raw import Client, request
from harness.waiting import eventually
from origins import scripts
from origins.nginx import Nginx


# For wrk: GET and POST in turns. The answer shows the request as the origin saw it.
MIXED = """
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init(args)
  strange = 0
  local all = {}
  for n = 1, 8 do
    local post = n % 2 == 0
    all[n] = wrk.format(post and "POST" or "GET", "/" .. n, {["X-N"] = n},
                        post and string.rep("b", n * 500) or nil)
  end
  batch = table.concat(all)
end
function request() return batch end
function response(status, headers, body)
  local n = body:match('"target": "/(%d)"')
  local length = n and (n % 2 == 0 and n * 500 or 0)
  if not n or not body:find('"length": ' .. length, 1, true) then strange = strange + 1 end
end
function done(summary, latency, requests)
  local sum = 0
  for _, thread in ipairs(threads) do sum = sum + thread:get("strange") end
  print("strange answers: " .. sum)
end
"""


class Crowd(Case):
    def prepare(self, **settings):
        self.backend = self.kept(Nginx(self.directory))
        return self.weir(self.backend.address, **settings)

    def crowd(self, weir, clients, requests, path="/small", *arguments, within=250):
        """h2load in its HTTP/1.1 mode: every request is counted at its end."""
        done = run(tool("h2load"), "--h1", "-n", requests, "-c", clients, "-t", 1, *arguments,
                   weir.url(path), within=within)
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, text + done.stderr.decode())
        self.assertRegex(text, rf"requests: {requests} total, {requests} started, {requests} done, "
                               rf"{requests} succeeded, 0 failed, 0 errored, 0 timeout", text)
        self.assertRegex(text, rf"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx", text)
        return text

    def claim_logged(self, weir, requests):
        self.assertEqual(weir.terminate(), 0)
        log = weir.log_path.read_text().splitlines()
        self.assertEqual(len(log), requests)
        self.assertEqual(len(self.backend.requests()), requests)

    @alone
    @bound(90)
    def test_1000_clients(self):
        weir = self.prepare()
        self.crowd(weir, 1000, 30_000)
        self.claim_logged(weir, 30_000)

    @alone
    @bound(60)
    def test_1000_clients_upload(self):
        weir = self.prepare()
        file = self.directory / "up"
        file.write_bytes(b"x" * 5000)
        self.crowd(weir, 1000, 5000, "/empty", "-d", file)

    @alone
    @bound(60)
    def test_64_clients_with_64_kib(self):
        weir = self.prepare()
        (self.directory / "medium").write_bytes(b"m" * 65536)
        self.crowd(weir, 64, 10_000, "/medium")

    @alone
    @bound(60)
    def test_requests_beyond_the_pool(self):
        """More clients than idle_max: connections to the origin come and go."""
        weir = self.prepare(upstream={"app": {"idle_max": 2}})
        self.crowd(weir, 200, 5000)

    @alone
    @bound(60)
    def test_pipelined_by_h2load(self):
        """Each of 50 clients has ten requests on its way."""
        weir = self.prepare()
        self.crowd(weir, 50, 20_000, "/small", "-m", 10)
        self.claim_logged(weir, 20_000)

    @alone
    @bound(60)
    def test_through_tcp(self):
        weir = self.prepare(route=None,
                            listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        self.crowd(weir, 100, 20_000)
        self.assertEqual([e["cause"] for e in weir.logged(100)], [""] * 100)

    @alone
    @bound(60)
    def test_graceful_reloads_of_the_origin(self):
        """nginx ends its workers and their idle connections five times: nobody notices."""
        weir = self.prepare()
        reload = threading.Thread(target=self.reload_often, args=(5,))
        reload.start()
        self.crowd(weir, 50, 30_000)
        reload.join()
        self.assertEqual({(e["status"], e["cause"]) for e in weir.logged(30_000)}, {(200, "")})

    def reload_often(self, times):
        for number in range(times):
            before = len(self.backend.requests())
            eventually(lambda: len(self.backend.requests()) > before + 500, "requests", 20)
            self.backend.process.signal(signal.SIGHUP)

    @full
    @alone
    @bound(400)
    def test_1000_clients_a_million_requests(self):
        weir = self.prepare(access_log="off")
        self.crowd(weir, 1000, 1_000_000, within=390)

    @full
    @alone
    @bound(400)
    def test_9000_clients(self):
        weir = self.prepare(access_log="off")
        self.crowd(weir, 9000, 300_000, within=390)

    @alone
    @bound(60)
    def test_wrk_with_pipelined_requests_of_many_kinds(self):
        """8 at a time; every answer says which it is, and wrk counts those that are not its own."""
        origin = self.origin(script=scripts.report)
        weir = self.weir(origin)
        script = self.directory / "mixed.lua"
        script.write_text(MIXED)
        done = run(tool("wrk"), "-t", 1, "-c", 20, "-d", "2s", "-s", script, weir.url("/"))
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, text)
        self.assertGreater(int(re.search(r"(\d+) requests in", text)[1]), 100)
        self.assertNotRegex(text, r"Non-2xx|Socket errors")
        self.assertIn("strange answers: 0", text)

    @alone
    @bound(60)
    def test_wrk_at_full_speed(self):
        weir = self.prepare(access_log="off")
        done = run(tool("wrk"), "-t", 1, "-c", 200, "-d", "4s", weir.url("/small"))
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, text)
        self.assertGreater(int(re.search(r"(\d+) requests in", text)[1]), 1000)
        self.assertNotRegex(text, r"Non-2xx|Socket errors")


class Mixture(Case):
    """Concurrent exchanges of random shape: each client gets its own answer, byte for byte."""

    def body(self, dice):
        return dice.randbytes(dice.choice((0, 1, 100, 4096, 20_000, 300_000)))

    def one(self, weir, seed, count, broken):
        dice = random.Random(seed)
        try:
            client = Client(weir.port)
            for number in range(count):
                data = self.body(dice)
                path = f"/{dice.choice(('length', 'chunked', 'close'))}"
                line = f"X-Who: {seed}.{number}"
                if dice.random() < 0.5:
                    client.send(request(path, line, method="POST", body=data))
                else:
                    client.send(request(path, line, "Transfer-Encoding: chunked", method="POST")
                                + (b"%x\r\n%s\r\n" % (len(data), data) if data else b"")
                                + b"0\r\n\r\n")
                response = client.response("POST")
                who = response.fields.get("x-who")
                if (not response.complete or who != f"{seed}.{number}"
                        or hashlib.sha256(response.body).digest() != hashlib.sha256(data).digest()):
                    broken.append(f"{seed}.{number} {path}: {response} for {who}")
                    return
                if dice.random() < 0.1:
                    client.close()
                    client = Client(weir.port)
            client.close()
        except Exception as error:
            broken.append(f"{seed}: {error!r}")

    @alone
    @bound(90)
    def test_random_exchanges(self):
        origin = self.origin()
        for framing in ("length", "chunked", "close"):
            def script(x, framing=framing):
                data = x.body()
                scripts.send_body(x, data, framing, 5000, "1.1", (),
                                  ("X-Who: " + x.request.fields.get("x-who"),))
            origin.on("/" + framing, script)
        weir = self.weir(origin)
        broken = []
        threads = [threading.Thread(target=self.one, args=(weir, seed, 40, broken))
                   for seed in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(80)
        self.assertEqual(broken, [])
        self.assertEqual(len(weir.logged(24 * 40)), 24 * 40)

    @alone
    @bound(60)
    def test_clients_that_leave_do_not_harm_the_others(self):
        origin, weir = self.proxied(scripts.body(b"z" * 200_000, "chunked", 9000))
        stop = threading.Event()

        def leave():
            while not stop.is_set():
                client = Client(weir.port).send(request("/left"))
                client.stream.until(b"\r\n")
                client.reset()
        leavers = [threading.Thread(target=leave) for _ in range(4)]
        for thread in leavers:
            thread.start()
        try:
            client = self.client(weir)
            for _ in range(200):
                response = client.get("/stays")
                self.assertEqual((response.complete, len(response.body)), (True, 200_000))
        finally:
            stop.set()
            for thread in leavers:
                thread.join(20)

    @alone
    @bound(60)
    def test_work_is_shared_by_the_workers(self):
        weir = self.weir(self.origin(), workers=2)
        clients = [Client(weir.port) for _ in range(40)]
        for client in clients:
            client.get()
        each = [worker["connections_active"] for worker in weir.status()["workers"]]
        self.assertEqual(sum(each), 40)
        self.assertGreaterEqual(min(each), 10, each)
        for client in clients:
            client.close()
