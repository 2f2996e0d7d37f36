# SPDX-License-Identifier: Apache-2.0
"""Early-response desync: the origin answers at the head of a request, does not read its body, and
takes it for the next request when it comes."""

from harness.raw import Client
from origins.naive import Habits

from .messages import CHUNKED, END, SECRET, get, post
from .smuggling import VICTIMS, Attacks

BODIES = {
    "by length": ([f"Content-Length: {len(SECRET)}"], SECRET),
    "chunked": ([CHUNKED], b"%x\r\n%s\r\n" % (len(SECRET), SECRET) + END),
}


class EarlyAnswers(Attacks):
    def setUp(self):
        super().setUp()
        self.ours = lambda: [one for one in self.server.believed if one.target not in VICTIMS]

    def attack(self, port, status, lines, body):
        """Sends the head, waits for the answer, then sends the body; then somebody else asks."""
        self.server.habits = Habits(early=status)
        self.server.forget()
        with Client(port, timeout=8.0) as client:
            client.send(post(*lines, target="/attack"))
            response = client.response("POST")
            self.assertEqual((response.status, response.body), (status, b"/attack"))
            client.try_send(body)
            for target in VICTIMS:
                with Client(port, timeout=8.0) as victim:
                    self.assertEqual(victim.get(target).body, target.encode())
        self.server.drop_connections()

    def each(self, statuses, check, *more):
        rows = [(status, *body) for status in statuses for body in BODIES.values()]
        for status, lines, body in rows:
            self.attack(self.server.port, status, [*lines, *more], body)
            self.assertIn("/smuggled", self.server.targets(), "the origin is not fooled")
            self.attack(self.front.port, status, [*lines, *more], body)
            check()
        self.count_rows(len(rows), 0)

    def nothing_smuggled(self):
        self.assertEqual([one.target for one in self.ours()], ["/attack"])

    def test_of_an_origin_that_refuses(self):
        self.each((301, 400, 403, 404, 405, 413, 500, 503), self.nothing_smuggled)

    def test_of_an_origin_that_does_not_wait_for_the_body(self):
        """With Expect the client's body is not sent behind a final answer."""
        self.each((200, 403), self.nothing_smuggled, "Expect: 100-continue")

    def test_of_an_origin_that_is_content(self):
        """It may want the rest, which is sent it; nobody else's request goes that way."""
        start = SECRET[:-2] + b"X: "
        lines = [f"Content-Length: {len(start)}"]
        self.server.habits = Habits(early=200)
        with Client(self.server.port, timeout=8.0) as client:
            client.send(post(*lines, target="/attack"))
            client.response("POST")
            client.send(start + get(VICTIMS[0]))
            self.assertEqual(client.response().body, b"/smuggled", "the origin is not fooled")
        self.attack(self.front.port, 200, lines, start)
        self.nothing_smuggled()
