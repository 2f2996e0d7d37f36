# SPDX-License-Identifier: Apache-2.0
"""The base of the tests that break something: Weir before what will be broken and, on a route of
its own, before a good origin, which a well-behaved client asks all the time."""

from origins import scripts
from .case import Case
from .steady import BODY, Steady
from .waiting import eventually

KIB, MIB = 1 << 10, 1 << 20


class Fault(Case):
    # What a connection may cost beside the buffers that limits.memory counts: its object, its
    # coroutines' frames, the text of its head, and as much again for the server's side.
    CONNECTION = 12 * KIB
    # Free lists, the access log's buffers, the allocator's own.
    BASE = 12 * MIB

    def before(self, *servers, **settings):
        """Starts Weir before `servers` (the upstream "app") and the good origin, and the
        well-behaved client."""
        self.good = self.origin(script=scripts.body(BODY), name="good")
        upstream = {"good": {"servers": [self.good.address]}, **settings.pop("upstream", {})}
        rest = settings.pop("route", [{"match": {"path": "/**"}, "upstream": "app"}])
        route = [{"match": {"path": "/steady"}, "upstream": "good"}, *rest]
        if servers:
            settings["servers"] = servers
        launcher = settings.pop("launcher", ())
        config = self.config(upstream=upstream, route=route, **settings)
        self.proxy = self.weir(config=config, launcher=launcher)
        self.steady = self.kept(Steady(self.proxy.port))
        self.steady.proceeds(3)
        self.memory_before = self.proxy.memory()
        self.proxy.reset_peak()
        return self.proxy

    def claim_unharmed(self, reconnects=0):
        """The well-behaved client saw nothing of it, and still does not."""
        self.steady.proceeds()
        self.assertLessEqual(self.steady.reconnects, reconnects)

    def claim_bounded_memory(self, budget, connections):
        """`budget`: limits.memory in bytes."""
        growth = self.proxy.memory("VmHWM") - self.memory_before
        self.claim_growth(growth, budget + connections * self.CONNECTION + self.BASE)

    def count(self, cause):
        return self.proxy.status()["causes"].get(cause, 0)

    def entries(self, cause=None, path=None):
        """Lines of the access log, but for those of the well-behaved client."""
        return [entry for entry in self.proxy.log() if entry["path"] != "/steady"
                and cause in (None, entry["cause"]) and path in (None, entry["path"])]

    def claim_causes(self, cause, count, within=20.0):
        """So many exchanges ended by that cause, in the log and in the counters."""
        eventually(lambda: len(self.entries(cause)) >= count,
                   lambda: f"{count} lines with {cause}: {self.tally()}", within)
        self.assertEqual(len(self.entries(cause)), count, self.tally())
        self.assertEqual(self.count(cause), count)

    def tally(self):
        causes = {}
        for entry in self.entries():
            causes[entry["cause"]] = causes.get(entry["cause"], 0) + 1
        return causes

    def claim_quiet(self, connections=1):
        """Everything that the fault made has been let go: `connections` are left."""
        def quiet():
            total = self.proxy.status()["total"]
            return (total["connections_active"] <= connections and total["requests_active"] <= 1
                    and total["tunnels_active"] == 0)
        eventually(quiet, lambda: f"everything ends: {self.proxy.status()['total']}", 20)
