# SPDX-License-Identifier: Apache-2.0
"""gRPC end to end, client and server by gRPC's own implementation: every kind of call, metadata,
statuses, deadlines, cancellation, and failures on the way."""

import queue
import signal

import grpc

from harness.case import Case, bound
from harness.tls import Authority
from harness.waiting import closed_port, eventually
from origins.grpc_server import SIZE_MAX, Server

HTTP2 = {"app": {"protocol": "http2"}}
Code = grpc.StatusCode


class Calls(Case):
    def setUp(self):
        super().setUp()
        self.server = self.kept(Server())

    def started(self, **settings):
        self.front = self.weir(self.server, upstream=HTTP2, **settings)
        self.channel = self.channel_to(self.front)
        return self.front

    def channel_to(self, weir):
        return self.closed_behind(
            grpc.insecure_channel(f"127.0.0.1:{weir.port}", options=SIZE_MAX))

    def closed_behind(self, channel):
        self._stack.callback(channel.close)
        return channel

    def unary(self, name):
        return self.channel.unary_unary(f"/test.Plain/{name}")

    def claim_logged(self, count=1, cause=""):
        lines = self.front.logged(count)
        self.assertEqual({e["cause"] for e in lines}, {cause}, lines)
        self.assertEqual(len(lines), count)

    def claim_fails(self, code, call):
        """The call ends with this status; its details are returned."""
        with self.assertRaises(grpc.RpcError) as raised:
            call()
        self.assertEqual(raised.exception.code(), code, raised.exception)
        return raised.exception.details()


class Kinds(Calls):
    def test_unary(self):
        self.started()
        for size in (0, 1, 1000, 3 << 20):
            message = b"m" * size
            self.assertEqual(self.unary("Echo")(message, timeout=20), message)
        self.claim_logged(4)

    def test_client_streaming(self):
        self.started()
        call = self.channel.stream_unary("/test.Plain/Total")
        self.assertEqual(call(iter([b"x" * 100_000] * 50), timeout=20), b"5000000")
        self.assertEqual(call(iter([]), timeout=20), b"0")
        self.claim_logged(2)

    def test_server_streaming(self):
        self.started()
        got = list(self.channel.unary_stream("/test.Plain/Count")(b"2000", timeout=20))
        self.assertEqual(got, [str(n).encode() for n in range(2000)])
        call = self.channel.unary_stream("/test.Plain/Large")
        got = [(m[0], len(m)) for m in call(b"3145728 8", timeout=20)]
        self.assertEqual(got, [(n, 3 << 20) for n in range(8)])
        self.assertEqual(list(self.channel.unary_stream("/test.Plain/Count")(b"0")), [])
        self.claim_logged(3)

    def test_bidirectional(self):
        """Each message is answered before the next is sent."""
        self.started()
        messages = queue.Queue()
        answers = self.channel.stream_stream("/test.Plain/Converse")(
            iter(messages.get, None), timeout=25)
        for number in range(50):
            messages.put(b"%d" % number)
            self.assertEqual(next(answers), b"re: %d" % number)
        messages.put(None)
        self.assertEqual(list(answers), [])
        self.assertEqual(answers.code(), Code.OK)
        self.claim_logged()

    @bound(60)
    def test_1000_at_once(self):
        self.started()
        echo = self.unary("Echo")
        calls = [echo.future(b"%d" % n, timeout=50) for n in range(1000)]
        self.assertEqual([call.result() for call in calls], [b"%d" % n for n in range(1000)])
        self.claim_logged(1000)


class KindsOverTls(Kinds):
    def started(self):
        self.authority = Authority(self.directory)
        cert, key = self.authority.issue("weir.test")
        return super().started(listen=[{"address": "127.0.0.1:0",
                                        "tls": {"cert": cert, "key": key}}])

    def channel_to(self, weir):
        trust = grpc.ssl_channel_credentials(self.authority.ca.read_bytes())
        name = ("grpc.ssl_target_name_override", "weir.test")
        return self.closed_behind(grpc.secure_channel(
            f"127.0.0.1:{weir.port}", trust, options=[*SIZE_MAX, name]))

    def claim_logged(self, count=1, cause=""):
        super().claim_logged(count, cause)
        self.assertEqual({(e["protocol"], e["tls"]) for e in self.front.log()},
                         {("HTTP/2", "TLSv1.3")})


class Answers(Calls):
    def test_metadata(self):
        self.started()
        raw = bytes(range(256))
        reply, call = self.unary("Echo").with_call(
            b"m", metadata=(("x-ask", "asked"), ("x-ask-bin", raw)), timeout=20)
        initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
        self.assertEqual(reply, b"m")
        self.assertEqual((initial["x-initial"], initial["x-initial-bin"]),
                         ("asked", b"\0\1\xfe\xff"))
        self.assertEqual((trailing["x-trailing"], trailing["x-back-bin"]), ("behind", raw))

    def test_status_and_details(self):
        self.started()
        for said in ("plain", "100 % of it, \u00e9t\u00e9 \u2603", "two\nlines"):
            with self.assertRaises(grpc.RpcError) as raised:
                self.unary("Fail")(said.encode(), timeout=20)
            error = raised.exception
            self.assertEqual((error.code(), error.details()), (Code.FAILED_PRECONDITION, said))
            self.assertEqual(dict(error.trailing_metadata())["x-why-bin"], b"\0\xff")
        self.claim_logged(3)

    def test_no_such_method(self):
        self.started()
        self.claim_fails(Code.UNIMPLEMENTED, lambda: self.unary("Nothing")(b"", timeout=20))
        self.claim_logged()

    def test_server_ends_while_the_client_sends(self):
        self.started()
        messages = queue.Queue()
        messages.put(b"first")
        answers = self.channel.stream_stream("/test.Plain/Interrupt")(
            iter(messages.get, None), timeout=20)
        self.assertEqual(next(answers), b"first")
        self.assertEqual(self.claim_fails(Code.RESOURCE_EXHAUSTED, lambda: next(answers)),
                         "enough")
        messages.put(None)
        self.claim_logged()


class Ends(Calls):
    def test_deadline(self):
        self.started()
        self.claim_fails(Code.DEADLINE_EXCEEDED, lambda: self.unary("Silent")(b"late", timeout=1))
        self.server.process.line("^ended late$")
        # The server knows the deadline as well, and may be the first.
        self.assertIn(self.front.logged(1)[0]["cause"], ("client_closed", ""))

    def test_cancellation(self):
        self.started()
        call = self.channel.unary_stream("/test.Plain/Hang")(b"left", timeout=20)
        self.assertEqual(next(call), b"first")
        call.cancel()
        self.server.process.line("^ended left$")
        self.claim_logged(cause="client_closed")
        self.assertEqual(self.unary("Echo")(b"m", timeout=20), b"m")

    def test_server_dies_in_a_stream(self):
        self.started()
        call = self.channel.unary_stream("/test.Plain/Hang")(b"x", timeout=20)
        self.assertEqual(next(call), b"first")
        self.server.kill()
        with self.assertRaises(grpc.RpcError) as raised:
            list(call)
        self.assertIn(raised.exception.code(), (Code.UNAVAILABLE, Code.INTERNAL))
        self.claim_logged(cause="upstream_truncated")

    def test_server_dies_before_it_answers(self):
        self.started()
        call = self.unary("Silent").future(b"x", timeout=20)
        self.server.process.line("^began x$")
        self.server.kill()
        said = self.claim_fails(Code.UNAVAILABLE, call.result)
        self.assertRegex(said, "^upstream_(closed|reset): ")

    def test_no_route(self):
        self.started(route=[{"match": {"path": "/test.Plain/Echo"}, "upstream": "app"}])
        self.assertEqual(self.unary("Echo")(b"m", timeout=20), b"m")
        said = self.claim_fails(Code.UNIMPLEMENTED, lambda: self.unary("Fail")(b"m", timeout=20))
        self.assertTrue(said.startswith("no_route: "), said)

    def test_no_server(self):
        reserved, address = closed_port()
        self.channel = self.channel_to(self.weir(address, upstream=HTTP2, workers=1))
        said = self.claim_fails(Code.UNAVAILABLE, lambda: self.unary("Echo")(b"m", timeout=20))
        self.assertTrue(said.startswith("upstream_refused: "), said)
        reserved.close()

    def test_stream_that_is_idle_too_long(self):
        """timeouts.upstream_body is the longest silence of a server within a stream."""
        self.started(timeouts={"upstream_body": "300ms"})
        call = self.channel.unary_stream("/test.Plain/Hang")(b"quiet", timeout=20)
        self.assertEqual(next(call), b"first")
        self.claim_fails(Code.INTERNAL, lambda: next(call))
        self.server.process.line("^ended quiet$")
        self.claim_logged(cause="upstream_body_timeout")

    def test_answer_that_is_late(self):
        self.started(timeouts={"upstream_head": "300ms"})
        said = self.claim_fails(Code.UNAVAILABLE, lambda: self.unary("Silent")(b"x", timeout=20))
        self.assertTrue(said.startswith("upstream_head_timeout: "), said)
        self.server.process.line("^ended x$")


class Changes(Calls):
    def conversation(self):
        self.messages = queue.Queue()
        self.answers = self.channel.stream_stream("/test.Plain/Converse")(
            iter(self.messages.get, None), timeout=25)

    def claim_answered(self, text):
        self.messages.put(text)
        self.assertEqual(next(self.answers), b"re: " + text)

    def test_reload(self):
        """A stream goes on, also when its route is dropped; a new one sees the new routes."""
        weir = self.started()
        self.conversation()
        self.claim_answered(b"before")
        config = self.config(servers=[self.server], upstream=HTTP2,
                             route=[{"match": {"path": "/other"}, "upstream": "app"}])
        self.assertEqual(weir.reload(config).returncode, 0)
        self.claim_answered(b"after")
        self.claim_fails(Code.UNIMPLEMENTED, lambda: self.unary("Echo")(b"m", timeout=20))
        self.messages.put(None)
        self.assertEqual(list(self.answers), [])
        self.assertEqual(self.answers.code(), Code.OK)

    def test_stop(self):
        """A stream that is open may end by itself while Weir stops."""
        weir = self.started()
        self.conversation()
        self.claim_answered(b"before")
        weir.process.signal(signal.SIGTERM)
        self.claim_answered(b"while it stops")
        self.messages.put(None)
        self.assertEqual(list(self.answers), [])
        self.assertEqual(self.answers.code(), Code.OK)
        self.assertEqual(weir.process.wait(15), 0)
        self.claim_logged()

    def test_server_restarts(self):
        """The next call has a new connection."""
        weir = self.started()
        self.assertEqual(self.unary("Echo")(b"m", timeout=20), b"m")
        self.server.kill()
        new = self.kept(Server())
        config = self.config(servers=[new], upstream=HTTP2)
        self.assertEqual(weir.reload(config).returncode, 0)
        eventually(lambda: self.unary("Echo")(b"m", timeout=20) == b"m", "it is answered again")
