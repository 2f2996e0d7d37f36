# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium with a profile of its own, driven by its DevTools protocol."""

import asyncio
import http.client
import json
import os

import websockets

from .process import Process, tool
from .waiting import eventually

OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
           "--no-first-run", "--disable-background-networking", "--disable-component-update",
           "--disable-default-apps", "--disable-extensions", "--disable-sync", "--no-proxy-server",
           "--disable-features=OptimizationHints,MediaRouter,HttpsUpgrades",
           "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
           "--remote-debugging-port=0", "--remote-allow-origins=*")


def trusting(authority_key, *names):
    """Options for names that are this machine, and certificates that this key has signed."""
    return (f"--ignore-certificate-errors-spki-list={authority_key}", "--host-resolver-rules="
            + ", ".join(f"MAP {name} 127.0.0.1" for name in names)
            + ", MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


class Browser:
    """One page. What is run in it may be asynchronous; an exception there is a failure here.
    `options` are Chromium's own; the last one of a name counts."""

    def __init__(self, directory, *options):
        home = directory / "chromium"
        home.mkdir()
        self.process = Process(
            [tool("chromium"), *OPTIONS, *options, f"--user-data-dir={home}", "about:blank"],
            env={**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home),
                 "XDG_CACHE_HOME": str(home)})
        self._port = int(self.process.line(r"DevTools listening on ws://[^:]+:(\d+)/", 25)[1])
        self._page = eventually(self._find_page, "a page in the browser")

    def _find_page(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        connection.request("GET", "/json/list")
        pages = json.loads(connection.getresponse().read())
        connection.close()
        return next((p["webSocketDebuggerUrl"] for p in pages if p["type"] == "page"), None)

    def command(self, method, within=20.0, **parameters):
        """The result of one DevTools command."""
        return asyncio.run(asyncio.wait_for(self._command(method, parameters), within))

    async def _command(self, method, parameters):
        async with websockets.connect(self._page, max_size=2**26, ping_interval=None) as socket:
            await socket.send(json.dumps({"id": 1, "method": method, "params": parameters}))
            while True:
                answer = json.loads(await socket.recv())
                if answer.get("id") == 1:
                    assert "error" not in answer, answer
                    return answer["result"]

    def open(self, url):
        """Shows the page; returns when everything it names has been loaded."""
        done = self.command("Page.navigate", url=url)
        assert not done.get("errorText"), done
        eventually(lambda: self.run("return [document.readyState, location.href]")
                   == ["complete", url], f"{url} is loaded", 20)

    def run(self, program, *arguments, within=20.0):
        """The value that the body of an asynchronous function of `args` returns in the page."""
        expression = f"(async (...args) => {{ {program} }})(...{json.dumps(arguments)})"
        done = self.command("Runtime.evaluate", within, expression=expression, awaitPromise=True,
                            returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def end(self):
        self.process.end()
