# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL through a TCP listener, with its own clients."""

import os
import re

from harness.case import Case, bound
from harness.process import Process, run, tool
from harness.waiting import eventually
from origins.databases import Postgres
from origins.origin import digest


class PostgresCase(Case):
    def setUp(self):
        super().setUp()
        self.server = self.kept(Postgres(self.directory))
        self.proxy = self.weir(self.server.address, route=None,
                               listen=[{"address": "127.0.0.1:0", "tcp": {"upstream": "app"}}])
        self.environment = {
            **os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(self.proxy.port), "PGUSER": "weir",
            "PGDATABASE": "postgres", "PGGSSENCMODE": "disable", "PGCONNECT_TIMEOUT": "15",
            "PGAPPNAME": "through"}

    def psql(self, *statements, stdin=None):
        """What the statements print, each in a line of its own."""
        words = [word for text in statements for word in ("-c", text)]
        done = run(tool("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", *words, stdin=stdin,
                   env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def direct(self, statement):
        """Asks the server without Weir."""
        done = run(tool("psql"), "-XqAt", "-c", statement,
                   env={**self.environment, "PGPORT": str(self.server.port), "PGAPPNAME": "direct"})
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode().strip()

    def claim_ended_well(self, count):
        """So many connections, every one ended by its client and without a cause."""
        log = self.proxy.logged(count)
        self.assertEqual([entry["cause"] for entry in log], [""] * count)


class Postgresql(PostgresCase):
    @bound(90)
    def test_sessions(self):
        with self.subTest("statements of one session, in order"):
            shown = self.psql("create table t(n int, s text)",
                              "insert into t select n, repeat(chr(97 + n % 26), n) "
                              "from generate_series(1, 2000) n",
                              "select count(*), sum(length(s)) from t")
            self.assertEqual(shown, b"2000|2001000\n")
        with self.subTest("an error of the server"):
            done = run(tool("psql"), "-XqAt", "-c", "select 1/0", env=self.environment)
            self.assertEqual((done.returncode, b"division by zero" in done.stderr), (1, True))
        with self.subTest("TLS is asked for and refused by the server, not by Weir"):
            done = run(tool("psql"), "-XqAt", "-c", "select 1",
                       env={**self.environment, "PGSSLMODE": "require"})
            self.assertIn(b"server does not support SSL", done.stderr)
        self.check_notifications()
        self.claim_ended_well(4)

    @bound(90)
    def test_copy_of_50_mb(self):
        rows = 500_000
        data = b"".join(b"%09d %s\n" % (n, b"weir" * 22 + b"x") for n in range(rows))
        self.assertGreater(len(data), 49_000_000)
        self.psql("create unlogged table bulk(line text)")
        self.psql("copy bulk from stdin", stdin=data)
        self.assertEqual(self.direct("select count(*) from bulk"), str(rows))
        self.assertEqual(digest(self.psql("copy bulk to stdout")), digest(data))
        log = self.proxy.logged(3)
        self.assertGreater(log[1]["bytes_received"], len(data))
        self.assertGreater(log[2]["bytes_sent"], len(data))
        self.claim_ended_well(3)

    @bound(60)
    def test_cancelled_and_killed(self):
        """A cancel request is a connection of its own: 16 bytes, answered by its end."""
        sleeper = self.kept(Process(
            [tool("psql"), "-XqAt", "-c", "select pg_sleep(100)"], env=self.environment))
        active = ("select count(*) from pg_stat_activity where state = 'active' "
                  "and application_name = 'through'")
        eventually(lambda: self.direct(active) == "1", "the statement runs")
        sleeper.signal(2)
        self.assertEqual(sleeper.wait(), 1)
        self.assertIn("canceling statement due to user request", sleeper.text())
        eventually(lambda: self.direct(active) == "0", "the statement has ended")
        self.claim_ended_well(2)
        self.check_last_words()
        self.check_killed_client()

    def check_last_words(self):
        """What the server says right before it closes arrives."""
        client = self.kept(Process([tool("psql"), "-XqAt", "-c", "select pg_sleep(100)"],
                                   env=self.environment))
        sleeping = "from pg_stat_activity where query = 'select pg_sleep(100)' and state = 'active'"
        eventually(lambda: self.direct(f"select count(*) {sleeping}") == "1", "the statement runs")
        self.assertEqual(self.direct(f"select pg_terminate_backend(pid) {sleeping}"), "t")
        self.assertEqual(client.wait(), 2)
        self.assertIn("terminating connection due to administrator command", client.text())

    def check_killed_client(self):
        """Its session ends with it."""
        client = self.kept(Process(
            [tool("psql"), "-XqAt", "-c", "select pg_sleep(100)"],
            env={**self.environment, "PGOPTIONS": "-c client_connection_check_interval=100"}))
        there = "select count(*) from pg_stat_activity where application_name = 'through'"
        eventually(lambda: self.direct(there) == "1", "the session")
        client.signal(9)
        eventually(lambda: self.direct(there) == "0", "the end of the session", 20)
        self.proxy.logged(4)

    def check_notifications(self):
        """The server speaks unasked, to a client that waits and stays while Weir is reloaded."""
        read, write = os.pipe()
        client = self.kept(Process([tool("psql"), "-XqAt"], stdin=read, env=self.environment))
        os.close(read)
        with open(write, "w", buffering=1, encoding="ascii") as say:
            say.write("listen news;\nselect 'listening';\n")
            client.line("^listening$")
            self.assertEqual(self.proxy.reload().returncode, 0)
            self.direct("; ".join(f"notify news, 'number {number}'" for number in range(500)))

            def all_told():  # psql looks for them when it has something to do
                say.write("select;\n")
                return client.text().count("notification") == 500
            eventually(all_told, client.text)
        self.assertEqual(client.wait(), 0)
        found = re.findall(r'"news" with payload "number (\d+)"', client.text())
        self.assertEqual(found, [str(number) for number in range(500)])

    @bound(90)
    def test_pgbench(self):
        bench = f"{self.server.binaries}/pgbench"
        done = run(bench, "-i", "-q", "-s", "1", env=self.environment)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        done = run(bench, "-n", "-c", "8", "-j", "2", "-t", "100", env=self.environment)
        self.assertIn(b"actually processed: 800/800", done.stdout)
        done = run(bench, "-n", "-S", "-C", "-c", "4", "-t", "20", "-M", "prepared",
                   env=self.environment)
        self.assertIn(b"actually processed: 80/80", done.stdout)
        self.assertEqual(self.direct("select count(*), (select sum(tbalance) from pgbench_tellers) "
                                     "= sum(delta) from pgbench_history"), "800|t")
        self.assertEqual({e["cause"] for e in self.proxy.logged(1 + 8 + 80)}, {""})
