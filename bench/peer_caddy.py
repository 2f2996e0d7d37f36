# SPDX-License-Identifier: Apache-2.0
"""How Caddy is configured; peers.py says what is the same for all."""

import json
import urllib.request

from certificate import HOST
from programs import Program, free_port, write
from scenarios import paths_of

BACK = {"plain": ["1.1"], "tls": ["1.1"], "h2": ["2"], "h2c": ["h2c"]}


def server_settings(port, front, routes):
    settings = {"listen": [f"127.0.0.1:{port}"], "routes": routes, "idle_timeout": "1h",
                "automatic_https": {"disable": True},
                "protocols": ["h1", "h2"] if front == "h2" else ["h1"]}
    if front != "plain":
        settings["tls_connection_policies"] = [{"protocol_min": "tls1.3"}]
    return settings


def settings_of(scenario, place, admin):
    handler = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{place.origin}"}],
        "headers": {"request": {"set": {"X-Request-Id": ["{http.request.uuid}"],
                                        "Via": ["1.1 caddy"]}}},
        # Without this it opens a connection for most requests: it keeps 32.
        "transport": {"protocol": "http", "compression": False, "versions": BACK[scenario.back],
                      "keep_alive": {"enabled": True, "max_idle_conns": 8192,
                                     "max_idle_conns_per_host": 8192, "idle_timeout": "1h"}},
    }
    if scenario.back in ("tls", "h2"):
        handler["transport"]["tls"] = {"root_ca_pem_files": [place.certificate.cert],
                                       "server_name": HOST}
    routes = [{"match": [{"path": [path + "*"]}], "handle": [handler]}
              for path in paths_of(scenario)] if scenario.routes else [{"handle": [handler]}]
    servers = {f"front{port}": server_settings(port, front, routes)
               for port, front in place.fronts}
    files = [{"certificate": place.certificate.cert, "key": place.certificate.key}]
    return {"admin": {"listen": f"127.0.0.1:{admin}", "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {"http": {"servers": servers},
                     "tls": {"certificates": {"load_files": files}}}}


def make(program, scenario, place):
    admin = free_port()
    text = json.dumps(settings_of(scenario, place, admin))
    path = write(place.folder, "caddy.json", text)
    # As many threads run Go code as there are workers; its collector would use every core.
    proxy = Program("caddy", [program, "run", "--config", path], place.folder, place.port,
                    environment={"GOMAXPROCS": str(scenario.workers), "HOME": place.folder})

    def load_again():
        request = urllib.request.Request(
            f"http://127.0.0.1:{admin}/load", text.encode(),
            {"Content-Type": "application/json", "Cache-Control": "must-revalidate"})
        urllib.request.urlopen(request, timeout=10).read()
    proxy.reload = load_again
    return proxy
