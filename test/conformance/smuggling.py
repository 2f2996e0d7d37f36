# SPDX-License-Identifier: Apache-2.0
"""The interpreter of the smuggling tables.

A row is (family, trick, bytes, habits of the origin …). It is played twice. Sent to the origin
directly, the bytes must make it believe in /smuggled: otherwise the row proves nothing. Sent
through Weir, the origin may believe only in the requests that Weir counted (its access log), and
the requests of other clients on the same pooled connections must get their own answers. Where a
trick needs what another client sends, a fifth column has the bytes for the origin."""

import collections

from harness.case import Case
from harness.message import Broken, Malformed
from harness.raw import Client
from harness.waiting import eventually
from origins.naive import NaiveOrigin

VICTIMS = ("/victim-1", "/victim-2")


class Attacks(Case):
    settings = {}

    def setUp(self):
        super().setUp()
        self.server = self.kept(NaiveOrigin())
        self.front = self.weir(self.server.address, workers=1, **self.settings)
        self.total = 0
        self.rounds = 0

    def play_all(self, table):
        failures = []
        for family, trick, data, habits, *directly in table:
            try:
                self._bite(*directly or [data], habits)
                self._play(data, habits)
            except (AssertionError, Broken, Malformed, OSError) as error:
                failures.append(f"{family}: {trick}\n    in: {data[:400]!r}\n"
                                f"    {type(error).__name__}: {error}")
        if not failures:
            self._compare_with_log()
        self.count_rows(len(table), len(failures))
        if failures:
            self.fail("\n" + "\n".join(failures))

    def _bite(self, data, habits):
        """Directly, the origin is fooled."""
        self.server.habits = habits
        self.server.forget()
        with Client(self.server.port, timeout=8.0) as client:
            client.try_send(data)
            client.finish()
            try:
                client.stream.to_end()
            except Broken:
                pass
        self.server.drop_connections()
        believed = self.server.targets()
        assert "/smuggled" in believed, f"the origin is not fooled: {believed}"

    def _play(self, data, habits):
        self.server.forget()
        self.rounds += 1
        with Client(self.front.port, timeout=8.0) as client:
            client.try_send(data)
            response = client.response(data.split(b" ")[0].decode("latin-1"))
            assert response.status in (200, 400, 414, 417, 431, 501, 502, 505), response
            assert b"smuggled" not in response.body, f"the attacker gets it: {response.body}"
            for target in VICTIMS:
                with Client(self.front.port, timeout=8.0) as victim:
                    answer = victim.get(target)
                    assert (answer.status, answer.body) == (200, target.encode()), (
                        f"{target} gets another's answer: {answer} {answer.body}")
        self.server.drop_connections()
        believed = self.server.targets()
        self.total += len(believed)
        extra = collections.Counter(believed) - collections.Counter(("/attack", *VICTIMS))
        assert not extra, f"the origin believes in {dict(extra)}"

    def _compare_with_log(self):
        """What the origin believed in, all in all, is what Weir sent it."""
        def entries():
            lines = self.front.log()
            ended = sum(line["path"] == VICTIMS[1] for line in lines)
            return lines if ended >= self.rounds else None
        lines = eventually(entries, "the victims in the access log")
        counted = sum(bool(line["upstream"]) for line in lines)
        assert self.total <= counted, f"the origin believes in {self.total}, Weir counted {counted}"
