# SPDX-License-Identifier: Apache-2.0
"""The command line: check, version, explain, reload, status, stop, proxy and the short forms."""

import json
import re

from harness.case import Case, once
from harness.process import Process, run
from harness.raw import Client


class Commands(Case):
    def call(self, *arguments, code=0, **options):
        done = run(self.weir_path, *arguments, cwd=self.directory, **options)
        text = (done.stdout + done.stderr).decode()
        self.assertEqual(done.returncode, code, text)
        return text

    def file(self, text, name="x.toml"):
        path = self.directory / name
        path.write_text(text)
        return path

    GOOD = '[[listen]]\naddress = "127.0.0.1:0"\n[[route]]\nrespond = 204\n'

    @once
    def test_check_good(self):
        self.call("check", self.file(self.GOOD))

    @once
    def test_check_does_not_listen_or_resolve(self):
        self.call("check", self.file('[[listen]]\naddress = "127.0.0.1:1"\n[upstream.a]\n'
                                     'servers = ["no.such.name.invalid:80"]\n'
                                     '[[route]]\nupstream = "a"\n'))

    @once
    def test_check_says_where(self):
        text = self.call("check", self.file('workers = 2\n[[listen]]\nadress = "127.0.0.1:0"\n'),
                         code=1)
        self.assertRegex(text, r"x\.toml:3:1\b")
        self.assertIn("address", text.replace("adress", ""), "did you mean")

    @once
    def test_check_reports_all_errors(self):
        text = self.call("check", self.file(
            'workers = "many"\nio = "kqueue"\n[timeouts]\ndrain = "5 parsecs"\n[limits]\n'
            'head_size = -1\n[[listen]]\naddress = "nowhere"\n[[route]]\nupstream = "missing"\n'),
            code=1)
        for line in (1, 2, 4, 6, 8, 10):
            self.assertRegex(text, rf"x\.toml:{line}:\d+", f"the error in line {line}")

    @once
    def test_check_of_broken_toml(self):
        text = self.call("check", self.file('workers = 2\n[[listen\n'), code=1)
        self.assertRegex(text, r"x\.toml:2:\d+")

    @once
    def test_check_of_a_missing_file(self):
        self.assertIn("none.toml", self.call("check", "none.toml", code=1))

    @once
    def test_check_warns_of_a_route_that_never_matches(self):
        text = self.call("check", self.file(
            '[[listen]]\naddress = "127.0.0.1:0"\n'
            '[[route]]\nname = "first"\nmatch = { path = "/a/**" }\nrespond = 200\n'
            '[[route]]\nname = "second"\nmatch = { path = "/a/**" }\nrespond = 200\n'))
        self.assertRegex(text, r"(?i)warning")
        self.assertIn("second", text)

    @once
    def test_run_of_a_bad_file(self):
        text = self.call("run", "--config", self.file("bogus = 1\n"), code=1)
        self.assertRegex(text, r"x\.toml:1:1")
        self.assertNotIn("listening", text)

    @once
    def test_version(self):
        self.assertRegex(self.call("version"), r"\b\d+\.\d+\.\d+")

    @once
    def test_explain(self):
        text = self.call("explain", "upstream_refused")
        self.assertIn("refused", text)
        self.assertIn("502", text)

    @once
    def test_explain_unknown(self):
        self.assertIn("upstream_refused", self.call("explain", "upstream_refusd", code=1))

    @once
    def test_unknown_command(self):
        self.call("frobnicate", code=2)

    @once
    def test_unknown_option(self):
        self.call("run", "--frobnicate", code=2)

    @once
    def test_help(self):
        text = self.call("--help")
        for command in ("run", "proxy", "check", "reload", "stop", "status", "explain", "version"):
            self.assertIn(command, text)

    @once
    def test_short_forms(self):
        self.assertRegex(self.call("-v"), r"\d+\.\d+\.\d+")
        self.call("-t", "-c", self.file(self.GOOD))
        self.call("-t", "-c", self.file("bogus = 1\n"), code=1)

    @once
    def test_commands_without_a_running_weir(self):
        path = self.file(f'admin = "unix:{self.directory}/admin.sock"\n' + self.GOOD)
        for command in ("reload", "status", "stop"):
            text = self.call(command, "--config", path, code=1)
            self.assertIn("admin.sock", text)

    @once
    def test_completion(self):
        self.assertIn("weir", self.call("completion", "bash"))


class Running(Case):
    def test_status(self):
        _, weir = self.proxied()
        done = weir.command("status")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn(b"app", done.stdout)

    def test_stop(self):
        _, weir = self.proxied()
        done = weir.command("stop")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(weir.process.wait(), 0)

    def test_reload(self):
        _, weir = self.proxied()
        done = weir.reload(self.config(route=[{"respond": {"status": 200, "body": "new"}}]))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertEqual(self.client(weir).get().body, b"new")

    def test_proxy_without_a_file(self):
        origin = self.origin()
        weir = self.kept(Process([self.weir_path, "proxy", "127.0.0.1:0", origin.address],
                                 cwd=self.directory))
        weir.line(r"\bready\b")
        port = int(re.search(r"listening on 127\.0\.0\.1:(\d+)", weir.text())[1])
        with Client(port) as client:
            self.assertEqual(client.get().body, b"hello from origin\n")

    def test_demo(self):
        weir = self.kept(Process([self.weir_path, "demo", "--listen", "127.0.0.1:0"],
                                 cwd=self.directory))
        weir.line(r"\bready\b")
        port = int(re.findall(r"listening on \S+?:(\d+)", weir.text())[0])
        with Client(port) as client:
            response = client.get()
        self.assertEqual(response.status, 200)
        self.assertIn(b"<html", response.body.lower())

    def test_environment_in_values(self):
        origin = self.origin()
        config = self.config(servers="${WEIR_TEST_SERVER}")
        weir = self.start(config, launcher=["/usr/bin/env", f"WEIR_TEST_SERVER={origin.address}"])
        self.assertEqual(self.client(weir).get().status, 200)

    def test_include(self):
        parts = self.directory / "parts"
        parts.mkdir()
        for name in ("a", "b"):
            (parts / f"{name}.toml").write_text(
                f'[[route]]\nmatch = {{ path = "/{name}" }}\nrespond = {{ body = "{name}" }}\n')
        weir = self.weir(include=["parts/*.toml"])
        for name in ("a", "b"):
            self.assertEqual(self.client(weir).get(f"/{name}").body.decode(), name)

    def test_error_in_an_included_file_says_which(self):
        (self.directory / "part.toml").write_text("\n[[route]]\nbogus = 1\n")
        weir = self.start(self.config(include=["part.toml"]), wait=False)
        self.assertEqual(weir.process.wait(), 1)
        self.assertRegex(weir.process.text(), r"part\.toml:3:1")

    def test_status_is_json_on_the_socket(self):
        _, weir = self.proxied()
        self.assertIsInstance(json.loads(weir.ask("/status")[1]), dict)
