# SPDX-License-Identifier: Apache-2.0
"""Priorities: RFC 9218. Signals are accepted, nonsense is ignored, and when there is not room for
everything the urgent responses go first."""

from harness import h2
from harness.h2 import FRAME_SIZE_ERROR, PROTOCOL_ERROR, frame, get, priority_update
from harness.h2_client import Client
from origins import scripts

from .h2_rows import H2Table, connection_error, either, goes_on, got

# Servers without PRIORITY_UPDATE ignore it whatever it says (RFC 9113 section 5.5).
PROTOCOL = either(connection_error(PROTOCOL_ERROR), goes_on)

UPDATES = [
    ("9218 7.1", "before the stream", priority_update(1, "u=1, i") + get(1), got()),
    ("9218 7.1", "on an open one", h2.post(1) + priority_update(1, "u=7") + h2.data(1, b"", True),
     got()),
    ("9218 7.1", "behind its end", get(1) + priority_update(1, "u=0"), got(), goes_on),
    ("9218 7.1", "for a stream far ahead", priority_update(100_001, "u=0") + get(1), got()),
    ("9218 7.1", "an empty value", priority_update(1, "") + get(1), got()),
    ("9218 4", "nonsense is ignored", priority_update(1, "u=, ;;=\0\xff") + get(1),
     either(got(), connection_error(PROTOCOL_ERROR))),
    ("9218 4.1", "an urgency beyond 7 is ignored", priority_update(1, "u=9") + get(1), got()),
    ("9218 7.1", "on a stream", frame(h2.PRIORITY_UPDATE, 0, 1, b"\0\0\0\1u=1"), PROTOCOL),
    ("9218 7.1", "for stream 0", priority_update(0, "u=1"), PROTOCOL),
    ("9218 7.1", "of 3 bytes", frame(h2.PRIORITY_UPDATE, 0, 0, b"\0\0\0"),
     either(connection_error(FRAME_SIZE_ERROR), goes_on)),
    *[("9218 5", f"the field {value!r}", get(1, ("priority", value)), got())
      for value in ("u=0", "u=7, i", "i=?0", "u=3;x=y", "u=-1", "nonsense(", "")],
]


SIZE = 9_000


class Priority(H2Table):
    def test_signals(self):
        self.play_all(UPDATES)

    def body_order(self, *values, update=()):
        """Which streams with these priorities get something of each bit of room."""
        self.server.default = scripts.body(b"x" * 20_000)
        with Client(self.front.port, feed=False) as client:
            client.start((h2.INITIAL_WINDOW_SIZE, 1 << 20))
            first = client.open(1, path="/fill")  # takes the whole window of the connection
            self.server.default = scripts.body(b"y" * SIZE)  # Weir has read all of it
            client.until(lambda: first.ended, "the first")
            while client.window:
                number = max(client.streams) + 2
                filler = client.open(number)
                client.until(lambda: filler.ended or not client.window, "a filled window")
            begin = max(client.streams) + 2
            for at, value in enumerate(values):
                client.open(begin + 2 * at, *([("priority", value)] if value else []))
            for at, value in update:
                client.send(priority_update(begin + 2 * at, value))
            streams = [client.streams[begin + 2 * at] for at in range(len(values))]
            client.until(lambda: all(stream.head for stream in streams), "all heads")
            client.settle()
            order = []
            for _ in range(len(values) * SIZE // 3_000 + 8):
                before = [len(stream.body) for stream in streams]
                client.grant(0, 3_000)
                client.settle()
                for at, stream in enumerate(streams):
                    if len(stream.body) > before[at]:
                        order.append(at)
            self.assertTrue(all(stream.complete for stream in streams), streams)
            return order

    def test_urgent_ones_first(self):
        """u=0 is served before u=3 (the default), and that before u=7. Others get what is left
        while the server's next bytes are fetched."""
        order = self.body_order("u=7", None, "u=0")
        self.assertEqual(sorted(set(order), key=order.index), [2, 1, 0], order)
        ends = [len(order) - 1 - order[::-1].index(at) for at in (2, 1, 0)]
        self.assertEqual(ends, sorted(ends), order)

    def test_update_takes_effect(self):
        order = self.body_order("u=3", "u=3", update=[(1, "u=0")])
        self.assertEqual(order[0], 1, order)

    def test_incremental_ones_share(self):
        """Section 10: of the same urgency, with i: a bit of each."""
        order = self.body_order("u=3, i", "u=3, i")
        half = order[:len(order) // 2]
        self.assertEqual(set(half), {0, 1}, order)
